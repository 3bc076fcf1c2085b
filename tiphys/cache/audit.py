"""Runs kept results again, each as a workflow of one step, and lets the cache compare."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from tiphys.cache.mode import ANNOTATION, AUDIT_ONLY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiphys.cache.store import Entry

Json = dict[str, Any]


def sample(entries: Sequence[Entry], number: int | None, share: float, chooser: random.Random) -> list[Entry]:
    """So many, or that share (at least one) of the kept results, in the order in which they were made."""
    wanted = min(len(entries), number if number is not None else max(1, round(share * len(entries))))
    chosen = set(chooser.sample(range(len(entries)), wanted))
    return [each for index, each in enumerate(entries) if index in chosen]


def workflow_of(entry: Entry) -> Json | None:
    """A Workflow that runs one step just as it ran; None where a value holds a tag, which would be filled in once more."""
    template = {name: value for name, value in entry.rendered.items() if name not in ("memoize", "synchronization")}
    if "{{" in json.dumps(template):
        return None
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"audit-{entry.template}-"[:40], "annotations": {ANNOTATION: AUDIT_ONLY}},
        "spec": {"entrypoint": template["name"], "templates": [template]},
    }
