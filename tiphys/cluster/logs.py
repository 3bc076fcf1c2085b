"""What the pods of a Workflow print, once each line, through streams that may break."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tiphys.cluster.errors import ServerAwayError
from tiphys.cluster.follow import DONE, PATIENCE, PERIOD
from tiphys.cluster.server import ArgoServer

_EXECUTOR = re.compile(r"time=\S+ level=\w+ (msg=|.* msg=).*argo=true( |$)")


@dataclass(frozen=True)
class Line:
    """One line of a pod's main container."""

    pod: str
    text: str


def lines(server: ArgoServer, name: str, pod: str = "", *, follow: bool = False) -> Iterator[Line]:
    """The lines so far; with `follow` also those to come, until the Workflow has ended.

    Raises:
        ServerAwayError: the server went away, with `follow` for longer than it may.
    """
    seen: dict[str, str] = {}
    heard = time.monotonic()
    while True:
        try:
            for line in _new(server, name, pod, seen, follow=follow):
                yield line
                heard = time.monotonic()
            if not follow:
                return
            if _ended(server, name):
                yield from _new(server, name, pod, seen, follow=False)  # what a stream that ended early has left out
                return
        except ServerAwayError:
            if not follow or time.monotonic() - heard > PATIENCE:
                raise
        time.sleep(PERIOD)


def is_argos_own(text: str) -> bool:
    """Whether a line is not the step's: Argo's executor, which starts the step, writes to the same stream."""
    return _EXECUTOR.match(text) is not None


def _ended(server: ArgoServer, name: str) -> bool:
    return (server.workflow(name).get("status") or {}).get("phase") in DONE


def _new(server: ArgoServer, name: str, pod: str, seen: dict[str, str], *, follow: bool) -> Iterator[Line]:
    """The lines of one stream that are younger than what was `seen` of their pod, which is kept up."""
    before = dict(seen)
    for entry in server.logs(name, pod, follow=follow):
        who, (moment, _, text) = entry.get("podName") or "", (entry.get("content") or "").partition(" ")
        if moment <= before.get(who, "") or is_argos_own(text):
            continue
        seen[who] = max(moment, seen.get(who, ""))
        yield Line(who, text)
