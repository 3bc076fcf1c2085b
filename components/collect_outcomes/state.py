"""What the live tables held at the end of a run, kept beside the streams' progress: where nothing came since, nothing is done.

The note is only believed where the very same objects have landed, the tables are at the very same snapshots, serving has the
very same file of live values, the same rules hold, and no report waits for time to pass. A note that is missing, cannot be
read or is out of date costs a run of Spark.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from components.collect_outcomes.recent import tag
from components.collect_outcomes.streams import TOPICS, Landing
from tiphys.errors import DataError
from tiphys.lake import live

if TYPE_CHECKING:
    from components.collect_outcomes.judge import Rules
    from tiphys.lake.catalog import Lake
    from tiphys.lake.live import Name
    from tiphys.usecase import UseCase

_FORM = 2
"""Goes up with every change of what a run counts."""


@dataclass(frozen=True)
class State:
    """The live tables at the end of a run."""

    before: Mapping[Name, int]
    """Rows of each table when the run began."""
    now: Mapping[Name, int]
    snapshots: dict[str, int]
    labelled: Mapping[str, int]
    """Labelled rows: all, trusted, late, doubtful."""
    refused: Mapping[str, int]
    """Rows in quarantine by reason."""
    waiting: int
    missing: dict[str, int]
    live_values: int
    """Values of the live feature that were made by the run."""
    live_file: str
    """Tag of the file that serving reads them from; empty where there is none."""


def snapshots(use_case: UseCase, lake: Lake) -> dict[str, int]:
    """Name the state that each table is in now.

    Raises:
        DataError: a table is not there yet.
    """
    return {each: live.snapshot(use_case.name, each, lake) for each in live.TABLES}


def landed(use_case: UseCase, lake: Lake, rules: Rules) -> str:
    """Digest of what a run would look at: the landed objects, by name and content, and the rules that judge them."""
    prefixes = [Landing(use_case, topic).prefix for topic in TOPICS]
    objects = [[each.uri, each.etag, each.size] for prefix in prefixes for each in lake.store.list(prefix)]
    judged_by = [rules.possible, sorted(rules.trusted), rules.unknown_after.total_seconds(), rules.own_clock]
    features = [[each.name, each.dtype] for each in use_case.features]
    meant = "" if use_case.recent is None else use_case.recent.definition()
    return hashlib.sha256(json.dumps([_FORM, objects, judged_by, features, meant]).encode()).hexdigest()


def remember(use_case: UseCase, lake: Lake, seen: str, state: State) -> None:
    """Keep what a run found, where nothing that it found will change with time alone."""
    if not state.waiting:
        lake.store.put(_note(use_case), json.dumps({"seen": seen, "state": asdict(state)}).encode())


def recall(use_case: UseCase, lake: Lake, seen: str) -> State | None:
    """Return what the last run found, if a run now would find the same; None otherwise."""
    try:
        note: dict[str, Any] = json.loads(lake.store.get(_note(use_case)))
        if note["seen"] != seen:
            return None
        state = State(**note["state"])
        same = (state.snapshots, state.live_file) == (snapshots(use_case, lake), tag(use_case, lake))
    except (DataError, ValueError, KeyError, TypeError):  # none yet, or not one of ours
        return None
    return replace(state, before=state.now, live_values=0) if same else None


def _note(use_case: UseCase) -> str:
    return f"s3://checkpoints/{use_case.name}/live/state.json"
