"""Live rows as the drift tests want them: read from the tables of ``collect_outcomes``, watched columns and slices computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tiphys.errors import DataError
from tiphys.usecase import Examples
from tiphys.watch.drift.residuals import ALL, Rows
from tiphys.watch.drift.summary import Window

if TYPE_CHECKING:
    from tiphys.usecase import Array, UseCase

TRUSTED = "trusted"
"""Group of the rows whose truths the operator's own meters reported."""
SLICE = "slice "
"""What a slice's name begins with where it is a column."""
_WALL_DAYS = 2
_NEWEST = 2000
_NOW = 0.95
_HOUR = 3600.0
_CANNOT_BE = ("impossible", "untimely")
"""Reasons for which the collecting step refuses a report that says something impossible, whoever sent it."""
_ANSWERED = ("at", "moment", "model_version", "source", "features", "value", "low", "high", "shadow")
_LABELLED = ("moment", "model_version", "source", "features", "value", "low", "high", "actual", "trusted", "doubtful")


Read = Callable[..., Any]
"""Reads a live table, called as ``tiphys.lake.live.read``."""


@dataclass(frozen=True)
class Asked:
    """Which rows: a stretch of the use case's own clock, and the states of the tables."""

    use_case: str
    since: float
    until: float
    version: str
    """Number of the watched version."""
    predictions: int | None = None
    labelled: int | None = None
    slices: tuple[str, ...] = field(default=())


def own_now(
    use_case: str, snapshot: int | None = None, *, read: Read | None = None, wall: float | None = None
) -> float:
    """Tell the use case's own time: what nearly all of the newest questions are about, to the end of that hour.

    Not the latest moment: one client whose clock jumped ahead would end all windows. ``wall`` is the wall clock's time, the
    present one where it is left out; so is ``read`` the lake's.

    Raises:
        DataError: nobody ever asked.
    """
    read, wall = read or _lake(), time.time() if wall is None else wall
    columns = ("at", "moment")
    recent = read(
        use_case, "predictions", since=wall - _WALL_DAYS * 86_400, clock="at", columns=columns, snapshot=snapshot
    )
    table = recent if len(recent) else read(use_case, "predictions", columns=columns, snapshot=snapshot)
    if not len(table):
        message = f"no live answers of {use_case!r} are collected yet: nothing is watched before somebody asks"
        raise DataError(message)
    newest = np.argsort(_seconds(table["at"]))[-_NEWEST:]
    return float(np.ceil((np.quantile(_seconds(table["moment"])[newest], _NOW) + 1) / _HOUR) * _HOUR)


def window(use_case: UseCase, asked: Asked, read: Read | None = None) -> Window:
    """Read a window of live rows; of the lake's tables where nothing else reads."""
    read = read or _lake()
    since, until = asked.since, asked.until
    answered = read(
        asked.use_case, "predictions", since=since, until=until, columns=_ANSWERED, snapshot=asked.predictions
    )
    labelled = read(asked.use_case, "labelled", since=since, until=until, columns=_LABELLED, snapshot=asked.labelled)
    found = of_tables(use_case, answered, labelled, asked, elsewhere=_elsewhere(asked, answered, read))
    refused = read(asked.use_case, "outcomes_quarantine", since=since, until=until, clock="at", columns=("reason",))
    return replace(found, refused=int(np.isin(_objects(refused["reason"]), _CANNOT_BE).sum()))


def of_tables(use_case: UseCase, answered: Any, labelled: Any, asked: Asked, *, elsewhere: float = 0.0) -> Window:
    """Make a window of tables with the columns of the live tables; shadow answers and doubtful truths count for nothing."""
    answered = answered.filter(_objects(answered["shadow"]) != True)  # noqa: E712 - missing is no
    features = feature_vectors(use_case, answered)
    ours = _by(answered, asked.version)
    value, low, high = (np.where(ours, _floats(answered[name]), np.nan) for name in ("value", "low", "high"))
    return Window(
        asked.since, asked.until, _seconds(answered["moment"]),
        {**watched(use_case, features), **slice_columns(use_case, features, asked.slices)},
        value, low, high, _truths(use_case, labelled, asked), ours, elsewhere,
    )  # fmt: skip


def _truths(use_case: UseCase, labelled: Any, asked: Asked) -> Rows:
    doubtful = np.array([bool(each) for each in _objects(labelled["doubtful"])], bool)
    labelled = labelled.filter(_by(labelled, asked.version) & ~doubtful)
    features = feature_vectors(use_case, labelled)
    masks = {ALL: np.ones(len(labelled), bool), **masks_of(use_case, features, asked.slices)}
    masks[TRUSTED] = _objects(labelled[TRUSTED]) == True  # noqa: E712 - missing is no
    value, low, high, actual = (_floats(labelled[name]) for name in ("value", "low", "high", "actual"))
    return Rows(_seconds(labelled["moment"]), value, low, high, actual, masks)


def feature_vectors(use_case: UseCase, table: Any) -> dict[str, Array]:
    """Features as vectors of their own types; float64 with NaN where one is missing."""
    import pyarrow.compute as pc  # noqa: PLC0415 - for who reads

    found = {}
    for each in use_case.features:
        column = pc.struct_field(table["features"], each.name)
        values = _floats(column) if column.null_count else np.asarray(column)
        found[each.name] = values if column.null_count else values.astype(each.dtype)
    return found


def watched(use_case: UseCase, features: Mapping[str, Array]) -> dict[str, Array]:
    """The columns of the use case's watched.py."""
    return {each.name: np.asarray(each.of(features)) for each in use_case.part("watched").WATCHED}


def slice_columns(use_case: UseCase, features: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
    """Each slice as a column: 1 for its rows, 0 for others."""
    masks = masks_of(use_case, features, names)
    return {SLICE + name: mask.astype(np.float64) for name, mask in masks.items()}


def masks_of(use_case: UseCase, features: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
    """Which rows belong to the slices of those names."""
    slices, rows = use_case.part("slices").SLICES, as_examples(features)
    return {name: np.asarray(slices[name](rows, rows.where(np.zeros(len(rows), bool)))) for name in names}


def as_examples(features: Mapping[str, Array]) -> Examples:
    """Features of questions without truths."""
    rows = len(next(iter(features.values())))
    return Examples(features, np.zeros(rows, np.float32), np.zeros(rows, np.int32))


def _elsewhere(asked: Asked, answered: Any, read: Read) -> float:
    """Share of the questions asked meanwhile, by the wall clock, that are about a moment outside of the window."""
    if not len(answered):
        return 0.0
    first, last = (float(each) for each in np.quantile(_seconds(answered["at"]), (0.01, 0.99)))
    beside = read(
        asked.use_case,
        "predictions",
        since=first,
        until=last,
        clock="at",
        columns=("moment",),
        snapshot=asked.predictions,
    )
    moment = _seconds(beside["moment"])
    return float(((moment < asked.since) | (moment >= asked.until)).mean()) if len(moment) else 0.0


def _lake() -> Read:
    from tiphys.lake import live  # noqa: PLC0415 - PyIceberg, for who reads the lake

    return live.read


def _by(table: Any, version: str) -> Array:
    """Rows that the model of that version answered, not the status quo in its place."""
    ours: Array = (_objects(table["model_version"]) == version) & (_objects(table["source"]) == "model")
    return ours


def _objects(column: Any) -> Array:
    found: Array = np.asarray(column.to_numpy(zero_copy_only=False), object)
    return found


def _seconds(column: Any) -> Array:
    import pyarrow as pa  # noqa: PLC0415 - as above

    micros = column.cast(pa.timestamp("us")).cast(pa.int64())
    return _floats(micros) / 1e6


def _floats(column: Any) -> Array:
    import pyarrow as pa  # noqa: PLC0415 - as above

    found: Array = (
        column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        if isinstance(column, pa.Array)
        else column.cast(pa.float64()).to_numpy()
    )
    return found
