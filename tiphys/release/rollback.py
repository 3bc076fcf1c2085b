"""Going back: production to the release before, the canary to no traffic at all. Both are releases like any other.

Image, manifest and passport are those of the release before, so the features (inputs of the manifest, lookups in the model)
come back with it. It speaks to the ledger alone; what to do without one is the agent's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiphys.errors import PermanentError
from tiphys.release.client import ConflictError
from tiphys.release.records import Recorded, Release, ReleaseKind
from tiphys.release.way_back import fallen, way_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiphys.release.client import LedgerClient

HISTORY = 1000
"""Releases of a use case that are looked at."""


class MovedOnError(ConflictError):
    """What was to be left does not serve any more."""


@dataclass(frozen=True)
class Asked:
    """Who wants it, and why."""

    by: str
    """A person at a command line, a schedule, an alert, a judgement."""
    run: str
    reason: str = ""
    once: bool = False
    """``run`` names one run that asks for one thing: tried again, it finds what it did before. A person may ask twice."""


@dataclass(frozen=True)
class Rollback:
    """What was gone back from, and the release that goes back."""

    left: Recorded
    recorded: Recorded


def again(release: Release, kind: ReleaseKind, asked: Asked) -> Release:
    """Return a release of the very same model for another reason; it steers no traffic."""
    same = release.model_dump(
        include={"use_case", "model_version", "repository", "manifest_sha256", "image", "passport"}
    )
    return Release(**same, kind=kind, reason=asked.reason[:1000], asked_by=asked.by[:200], run=asked.run[:200])


def way(ledger: LedgerClient, environment: str, use_case: str) -> Sequence[Recorded]:
    """Return what serves by the ledger and what served before, the nearest first. Raises as the client."""
    failed = fallen(ledger.outcomes(environment, HISTORY))
    if failed:
        observed = ledger.current(environment).observed.values()
        failed -= {each.generation for each in observed if each.state == "serving"}
    return way_back(ledger.history(environment, HISTORY, use_case=use_case), failed)


def roll_back(ledger: LedgerClient, environment: str, use_case: str, asked: Asked, *, leaving: int = 0) -> Rollback:
    """Release what served before what serves now; with ``leaving``, only from that generation.

    Raises:
        MovedOnError: another generation than ``leaving`` is the newest; nothing was written.
        ConflictError: somebody released the use case in between.
        PermanentError: nothing served before.
        RetryableError: the ledger is away.
    """
    seen = ledger.current(environment)
    newest = seen.releases.get(use_case)
    if newest is not None and asked.once and (newest.kind, newest.run) == ("rollback", asked.run[:200]):
        return Rollback(_before(ledger, newest), newest)
    if leaving and newest is not None and newest.generation != leaving:
        message = f"{environment} has left generation {leaving} of {use_case}: it is at generation {newest.generation}"
        raise MovedOnError(f"{message} ({newest.kind} of {newest.model_version}); nothing was taken back")
    steps = way(ledger, environment, use_case)
    if len(steps) < 2:  # noqa: PLR2004 - what serves, and what served before
        found = f"{steps[0].model_version}, and nothing before it that it has not left already" if steps else "nothing"
        message = f"{environment} serves {found}, of {use_case}: there is nothing to go back to; see 'tiphys release list {environment}'"
        raise PermanentError(message)
    return Rollback(steps[0], ledger.release_over(seen, again(steps[1], "rollback", asked)))


def _before(ledger: LedgerClient, rollback: Recorded) -> Recorded:
    history = ledger.history(rollback.environment, HISTORY, use_case=rollback.use_case)
    return next((each for each in history if each.generation < rollback.generation), rollback)


def withdraw(ledger: LedgerClient, use_case: str, asked: Asked) -> Recorded | None:
    """End the traffic of a use case's canary; None where it has none. Raises as :func:`roll_back`."""
    seen = ledger.current("canary")
    found = seen.releases.get(use_case)
    if found is None or found.kind != "release":
        return None
    return ledger.release_over(seen, again(found, "withdrawal", asked))
