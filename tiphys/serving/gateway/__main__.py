"""Run the gateway until it is told to stop."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import signal
import sys

import uvloop

from tiphys.lake.s3 import S3
from tiphys.release.records import ENVIRONMENTS
from tiphys.serving.gateway.app import Gateway, Places
from tiphys.serving.gateway.keys import Keys
from tiphys.serving.gateway.spool import Spool
from tiphys.settings import (
    AdminSettings,
    AgentsSettings,
    GatewaySettings,
    ListenSettings,
    S3Settings,
    ServingSettings,
    load,
)

_PATIENCE = 20.0
"""Seconds that one attempt to land a segment may take; the spool itself tries for ever."""
_SWITCH_SECONDS = 0.0005
"""How soon a thread of the spool lets the event loop go on: Python's own 5 ms would show in the answers' p99."""


def _look(store: S3, address: str, had: str) -> tuple[str, bytes] | None:
    """Read an object if it is another than the one that was had."""
    there = store.find(address)
    return None if there is None or there.etag == had else (there.etag, store.get(address))


async def serve() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings, serving, agents = load(GatewaySettings), load(ServingSettings), load(AgentsSettings)
    store = S3(load(S3Settings), patience=_PATIENCE)
    gateway = Gateway(
        places=Places(
            tritons={name: getattr(serving, f"{name}_http") for name in ENVIRONMENTS},
            agents={name: getattr(agents, name) for name in ENVIRONMENTS},
            state=settings.state,
            bind=load(ListenSettings).bind,
            port=settings.port,
            admin_port=settings.admin_port,
            grpc_port=settings.grpc_port,
            grpc_tritons={name: getattr(serving, f"{name}_grpc") for name in ENVIRONMENTS},
        ),
        keys=Keys.read(settings.keys),
        admin_token=load(AdminSettings).token,
        spool=Spool(settings.state / "spool", lambda name, content: store.put(f"s3://landing/{name}", content)),
        look=functools.partial(_look, S3(load(S3Settings), patience=_PATIENCE)),
        use_cases=[each.strip() for each in settings.use_cases.split(",") if each.strip()],
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await gateway.start()
    gc.collect()
    gc.freeze()  # what was imported and built stays: looking through all of it again and again would show in the answers' p99
    await stopping.wait()
    await gateway.stop()


def main() -> None:
    """Run the event loop."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    sys.setswitchinterval(_SWITCH_SECONDS)
    uvloop.run(serve())


if __name__ == "__main__":
    main()
