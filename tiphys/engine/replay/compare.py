"""Whether a replay ended as the step did the first time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tiphys.engine.replay.capsule import Capsule
from tiphys.engine.replay.rerun import Outcome

Json = dict[str, Any]
_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+")


def comparison(capsule: Capsule, outcome: Outcome) -> tuple[bool, list[str]]:
    """Whether exit code and last line are the same, and what is to be said of it, a line each."""
    said = list(_said(capsule, outcome))
    return not any(different for different, _ in said), [text for _, text in said]


def _said(capsule: Capsule, outcome: Outcome) -> Iterator[tuple[bool, str]]:
    then, now = capsule.exit_code, str(outcome.outputs.get("exitCode") or "")
    if then or now:
        same = then == now
        yield not same, f"exit code: {now or 'none'}{'' if same else ', not ' + (then or 'none')}, as the first time"
    phase = capsule.end.get("phase") or "unknown"
    if phase != outcome.phase:
        yield True, f"phase: {outcome.phase}, not {phase} as the first time"
    elif not (then or now):
        yield False, f"phase: {outcome.phase}, as the first time"
    if outcome.phase != "Succeeded" and capsule.last_line:
        last = next((line.strip() for line in reversed(outcome.log.splitlines()) if line.strip()), "")
        same = _gist(last) == _gist(capsule.last_line)
        yield not same, f"last line: {'as the first time' if same else 'another'}: {last[:300]}"
        if not same:
            yield True, f"     then: {capsule.last_line[:300]}"
    then_digests = {each.get("name"): each["digest"] for each in capsule.inputs if each.get("digest")}
    for each in outcome.inputs:
        before = then_digests.get(each.get("name"))
        if before and each.get("digest") and before != each["digest"]:
            yield (
                True,
                f"input {each.get('name')} is not the one that it was: {each['digest'][:19]}, then {before[:19]}",
            )


def _gist(line: str) -> str:
    """A line without its numbers: times, addresses and process ids are others each time."""
    return _VARYING.sub("#", line)
