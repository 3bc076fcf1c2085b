"""Whether a run that says so was started by a yes: its first step asks, and nobody else's run gets further. Knows no HTTP and no SQL.

A token for the event endpoint lets whoever has it post what the governor posts. So a run claims the training by its own name: it has
to be one that was decided, with the very parameters that were posted, and only one run ever gets it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=2000)]


class Claim(BaseModel):
    """What a run says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uid: Annotated[str, Field(min_length=1, max_length=100)]
    """The run's own: another run of the same name has another."""
    use_case: Text
    source: Text
    recent_from: Text
    champion: Text
    started_by: Text


@dataclass(frozen=True)
class Meant:
    """A training that was decided."""

    number: int
    """The event's."""
    event: str
    reason: str
    payload: str
    """What was posted for it."""
    phase: str
    ended: bool
    """Whether its run has ended, or was given up."""
    uid: str
    """The run that has claimed it; empty where none has."""


def complaint(claim: Claim, meant: Meant | None, run: str) -> str:
    """Why the claim does not hold, in words; empty where it does.

    Args:
        claim: what the run says.
        meant: the training whose run has that name; None where there is none.
        run: the run's name.
    """
    if meant is None:
        return f"no yes of the governor means a run {run}: whoever posted the event that started it, it was not the governor"
    told = json.loads(meant.payload)
    said = claim.model_dump(exclude={"uid"})
    for name, value in said.items():
        if value != told[name]:
            return f"{run} was started with {name} {value!r}; the governor's yes to {meant.event} says {told[name]!r}"
    if meant.uid and meant.uid != claim.uid:
        return f"the yes to {meant.event} has started a run {run} before: one starts one training"
    if meant.ended and not meant.uid:
        return f"the yes to {meant.event} was given up before this run began ({meant.phase})"
    return ""
