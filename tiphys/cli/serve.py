"""`tiphys serve`: the engine that drives all runs, and Argo's API in front of it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.runs import explained, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiphys.engine import Engine

_EXAMPLES = """examples:
  tiphys serve                                    in the foreground, until Ctrl-C
  eval "$(tiphys env argo)" && argo list          in another terminal: Argo's own command line
"""
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)  # seconds between starts of an API that ended

log = logging.getLogger("tiphys.engine")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "serve",
        help="the engine with Argo's API, in the foreground",
        description="Drive every run that is submitted, keep schedules, take events, and answer Argo's REST API on "
        "loopback. `tiphys up` keeps one running; this is the same alone, for runs that need no other server.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--api-only", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(func=main)


@explained("serve")
def main(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.settings import stack_settings
    from tiphys.stack.ports import Ports

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stderr)
    ports = Ports(stack_settings().port_base)
    if args.api_only:
        from tiphys.engine.server.app import serve
        from tiphys.stack.ports import LOOPBACK

        serve(open_engine(), _tokens(), LOOPBACK, ports["engine"])
        return 0
    engine = open_engine()
    engine.refuse_if_held()
    _tokens()
    say(f'Argo\'s API: {ports.url("engine")} (for its clients: eval "$(tiphys env argo)"); Ctrl-C ends it')
    return asyncio.run(_serve(engine, [sys.executable, "-m", "tiphys", "serve", "--api-only"]))


def _tokens() -> dict[str, str]:
    """Whose token is whose; made at the first start."""
    from tiphys.settings import stack_settings
    from tiphys.stack import keys
    from tiphys.stack.layout import Layout
    from tiphys.step import contracts

    layout = Layout.of(stack_settings())
    layout.make()
    found = keys.ensure(layout.secrets / "keys.json", contracts())
    return {token: role for role, token in found.api_tokens.items()}


async def _serve(engine: Engine, api: Sequence[str]) -> int:
    from tiphys.engine.events.deliveries import Deliveries
    from tiphys.engine.schedules.service import Schedules
    from tiphys.engine.service import Service

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in _signals():
        loop.add_signal_handler(each, stop.set)
    service = Service(engine, (Schedules(engine).tick, Deliveries(engine).tick))
    answering = asyncio.create_task(_keep(api))
    try:
        await service.run(stop)
    finally:
        answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answering
    return 0


def _signals() -> tuple[int, ...]:
    import signal

    return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def _keep(command: Sequence[str]) -> None:
    """Keep the API running; it dies with this process."""
    failures = 0
    while True:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=Path.cwd(), stdin=asyncio.subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_us
        )
        began = asyncio.get_running_loop().time()
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 5)
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        failures = 0 if asyncio.get_running_loop().time() - began > _PAUSES[-1] else failures + 1
        log.error("the API ended with %s: it is started again", code)
        await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1] if failures else 0.0)


def _die_with_us() -> None:
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
