"""Run the governor: ``python -m tiphys.watch.governor``. One process serves it; two beside one another do no harm."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from tiphys.errors import SettingsError
from tiphys.service.answers import serve
from tiphys.settings import ArgoSettings, GovernorServerSettings, PaceSettings, load
from tiphys.watch.governor.argo import Argo
from tiphys.watch.governor.clock import Clock
from tiphys.watch.governor.desk import Desk
from tiphys.watch.governor.senders import Door, Rates, Secrets, Tokens
from tiphys.watch.governor.service import Service
from tiphys.watch.governor.store import Store


def main() -> None:
    """Serve until stopped."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    settings, argo, speed = load(GovernorServerSettings), load(ArgoSettings), load(PaceSettings).speed
    if not argo.server:
        message = "TIPHYS_ARGO_SERVER must say where a yes is posted: http://HOST:PORT"
        raise SettingsError(message)
    if not speed > 0:
        message = f"TIPHYS_GOVERNOR_SPEED must be more than 0, not {speed}"
        raise SettingsError(message)
    door = Door(Secrets(settings.secrets), Tokens(settings.tokens), Rates(time.monotonic))
    database = settings.db_url, settings.db_user, settings.db_password
    clock = asyncio.run(_resume(Store(*database), speed))
    desk = Desk(Store(*database), Argo(argo, settings.argo_token), clock, sources=_sources(settings.sources))
    serve(Service(Store(*database), desk, clock, door).app(), settings.port)


async def _resume(store: Store, speed: float) -> Clock:
    """The clock, from where it was."""
    try:
        return Clock(await store.resume(time.time(), speed))
    finally:
        await store.close()


def _sources(text: str) -> dict[str, str]:
    """The operator's sources. Raises SettingsError."""
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(each, str) and each.startswith("s3://") for each in found.values()
    ):
        message = "TIPHYS_RETRAIN_SOURCES must be a JSON object {use case: s3://BUCKET/PREFIX/}"
        raise SettingsError(message)
    return found


if __name__ == "__main__":
    main()
