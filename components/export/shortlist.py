"""Which of the versions that passed every gate is exported: the best that keeps its answers as ONNX and holds the SLO."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tiphys.errors import GateError

if TYPE_CHECKING:
    from components.export.contract import Inputs, Outputs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listed:
    """A version that may be exported, and what ``evaluate`` found of it."""

    model_version: str
    name: str = ""
    """``network``, or the use case's candidate; empty where nobody said."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    gates: Sequence[Mapping[str, Any]] = ()


def listed(inputs: Inputs) -> list[Listed]:
    """Return what may be exported, best first: the shortlist, or the one version where there is none."""
    return [Listed(**each) for each in inputs.shortlist] or [Listed(inputs.model_version)]


def first_that_holds(
    shortlist: Sequence[Listed], export: Callable[[Listed], Outputs], candidates: Sequence[Mapping[str, Any]]
) -> Outputs:
    """Export one after the other until one holds; its outputs say whose they are, and what became of those before it.

    Raises:
        GateError: none holds; the message says what each lacks.
    """
    refused: dict[str, str] = {}
    for each in shortlist:
        try:
            made = export(each)
        except GateError as error:
            refused[each.name] = f"passed, but export refused it: {error}"
            log.warning("%s %s", each.name or each.model_version, refused[each.name])
            if len(shortlist) == 1:
                raise
        else:
            facts = {"metrics": json.dumps(each.metrics), "gates": json.dumps(each.gates), "kind": each.name}
            return made.model_copy(update={**facts, "candidates": json.dumps(_told(candidates, each.name, refused))})
    message = "; ".join(f"{name} {why}" for name, why in refused.items())
    raise GateError(message)


def _told(candidates: Sequence[Mapping[str, Any]], chosen: str, refused: Mapping[str, str]) -> list[dict[str, Any]]:
    """What ``evaluate`` told of all, with what became of them here."""
    if not refused:
        return [dict(each) for each in candidates]
    outcomes = {**refused, chosen: f"registered, because {' and '.join(refused)} could not be served"}
    return [{**each, "outcome": outcomes.get(each["name"], each["outcome"])} for each in candidates]
