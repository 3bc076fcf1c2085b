"""Why a step was cached, or was not: the parts of its key, said for a person."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tiphys.cache.mode import EFFECTS, annotated

if TYPE_CHECKING:
    from tiphys.cache.store import LookUp, Store
    from tiphys.engine import RunState

Json = dict[str, Any]
SHOWN = 12
_PENDING = "..."


def last_of(told: Sequence[LookUp], step: str) -> dict[str, LookUp]:
    """The last that each step was told; only `step` if one is given, by its name or the last part of it."""
    found = {each.node: each for each in told}
    return {name: each for name, each in found.items() if step in ("", name, name.rpartition(".")[2])}


def why_cached(store: Store, each: LookUp) -> Iterator[str]:
    """Which result was used, every part that was the same, and what was found still there."""
    yield f"{each.node}: cached, from {each.source}, key {each.key[:SHOWN]}, asked {_moment(each.at)}"
    entry = store.entry(each.against)
    yield "  the same:"
    for name, value in sorted(each.parts.items()):
        many = store.details(each.details.get(name, ""))
        yield f"    {name}: {f'{len(many)} things, ' if many else ''}{value or 'empty'}"
    if entry is None:
        yield "  that result is not kept any more"
        return
    proven = {**entry.proofs["outputs"], **{f"left: {name}": value for name, value in entry.proofs["leaves"].items()}}
    proven |= {f"artifact {name}": digest for name, digest in entry.proofs["artifacts"].items()}
    yield "  found still there:" if proven else "  it names nothing that could be gone"
    for name, proof in proven.items():
        yield f"    {name}: {_said(proof)}"


def why_missed(each: LookUp) -> Iterator[str]:
    """What differed from the nearest result, or why there was none; and whether the new one was kept."""
    yield f"{each.node}: {each.verdict}: {each.reason}"
    if each.differences:
        yield f"  against {each.source}, key {each.against[:SHOWN]}:" if each.verdict == "miss" else "  differs:"
        yield from (f"    {line}" for line in each.differences)
    if each.kept and each.verdict != "not cached":
        said = "it has not Succeeded, so far" if each.kept == _PENDING else each.kept
        yield f"  not kept for later: {said}"


def never_asked(run: RunState, told: Sequence[LookUp], step: str) -> Iterator[str]:
    """Steps that no cache was asked for: what they do is not theirs alone."""
    known = {each.node for each in told}
    templates = {each.get("name"): each for each in [*_templates(run.spec), *_stored(run)]}
    for node in run.nodes.values():
        name = node.name.removeprefix(run.name).lstrip(".") or run.name
        if node.type not in ("Pod", "Retry") or node.flag("retried") or name in known:
            continue
        if step not in ("", name, name.rpartition(".")[2]):
            continue
        effects = annotated(templates.get(node.template_name) or {}).get(EFFECTS)
        yield f"{name}: never cached: {f'its effects are {effects}' if effects else 'its template has no tiphys/effects'}"


def _templates(spec: Json) -> list[Json]:
    return spec.get("templates") or []


def _stored(run: RunState) -> Iterator[Json]:
    for spec in run.templates.values():
        yield from _templates(spec)


def _said(proof: Any) -> str:
    """A proof in a line; of a dataset, whose files are listed one by one, their number and its snapshots."""
    return f"{len(proof) - 1} files, {proof.get('')}" if isinstance(proof, dict) else str(proof)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
