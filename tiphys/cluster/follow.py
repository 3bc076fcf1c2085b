"""Follows a Workflow to its end, through a server that may go away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from tiphys.cluster.errors import ServerAwayError
from tiphys.cluster.server import ArgoServer

Json = dict[str, Any]
PERIOD = 2.0  # seconds between two looks
PATIENCE = 300.0  # seconds that the server may be away
DONE = ("Succeeded", "Failed", "Error")


def follow(
    server: ArgoServer,
    name: str,
    *,
    patience: float = PATIENCE,
    period: float = PERIOD,
    told: Callable[[str], None] = lambda _text: None,
) -> Iterator[Json]:
    """The Workflow now, and at every look until it has ended; `told` hears that the server is away, and back.

    Raises:
        ServerAwayError: the server was away for longer than `patience` seconds; the Workflow goes on without us.
        NotThereError: the Workflow was deleted.
    """
    away: float | None = None
    while True:
        try:
            workflow = server.workflow(name)
        except ServerAwayError as error:
            away = _wait_on(away, error, patience, told)
        else:
            if away is not None:
                told(f"{server.access.url} answers again")
            away = None
            yield workflow
            if (workflow.get("status") or {}).get("phase") in DONE:
                return
        time.sleep(period)


def _wait_on(away: float | None, error: ServerAwayError, patience: float, told: Callable[[str], None]) -> float:
    now = time.monotonic()
    if away is None:
        told(f"{error} Asking on for {patience:.0f} s.")
        return now
    if now - away > patience:
        msg = f"{error} It was away for {patience:.0f} s; the run goes on without it being watched"
        raise ServerAwayError(msg)
    return away
