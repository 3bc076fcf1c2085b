"""Where a rollback goes: the releases that served before, without those that were rolled back from or never served.

It is computed from a history, by whoever has one: the command line from the ledger, the agent from what it was told last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tiphys.release.records import Outcome, Recorded, Release


def same(one: Release, other: Release) -> bool:
    """Whether two releases are of the very same model: image, manifest, version and passport."""
    return _identity(one) == _identity(other)


def fallen(outcomes: Iterable[Outcome]) -> set[int]:
    """Return the generations whose last outcome is that they failed.

    One that served first was gone back from at its agent: that may be all that the ledger ever hears of it.
    """
    last = {each.generation: each.state for each in sorted(outcomes, key=lambda each: each.made_at)}
    return {generation for generation, state in last.items() if state == "failed"}


def way_back(history: Iterable[Recorded], failed: Collection[int] = ()) -> Sequence[Recorded]:
    """Return what serves by a use case's history and what served before, the nearest first.

    ``failed`` are generations that their agent refused, or went back from on its own. A rollback takes what it went back from off the way,
    so that two rollbacks in a row go two releases back and never to and fro.
    """
    way: list[Recorded] = []
    for each in sorted(history, key=lambda each: each.generation):
        if each.generation in failed:
            continue
        if each.kind == "rollback" and any(same(each, before) for before in way):
            while not same(each, way[-1]):
                way.pop()
        if way and same(each, way[-1]):
            way[-1] = each
        else:
            way.append(each)
    return way[::-1]


def _identity(release: Release) -> tuple[str, ...]:
    return (release.use_case, release.model_version, release.manifest_sha256, release.image, release.passport)
