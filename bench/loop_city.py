"""Where bench/loop.py lives: real rides asked about once more, a scenario laid over them, and the live tables as they are at a moment.

The tables stand in memory and are read by the very functions that read the lake's. What really happened is what the operator's own
meter would say: no scenario that is a client's fault touches that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bench.model import USE_CASE
from components.collect_outcomes.askers import DAYS, unlike_others
from components.collect_outcomes.judge import STANDS, Rules, judge
from tiphys.lake.window import Timed
from tiphys.serving.livecity import files
from tiphys.serving.livecity.stream import changed
from tiphys.usecase import Arrival, Examples
from usecases.taxi_eta.data import FARTHEST_MILES, FASTEST_MPH
from usecases.taxi_eta.replay import PERSONA, replay

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tiphys.usecase import Array, Scenario

DAY = 86_400.0
_ASKER, _AUDITOR = "simulate", "auditor"
_SEED = 1
_TRIES = 1000
"""Draws after which a ride that a scenario never lets happen is given up."""


@dataclass(frozen=True)
class Rides:
    """Rides in the order in which they were asked about: equally long vectors."""

    at: Array
    """When it was asked, seconds since 1970."""
    features: Mapping[str, Array]
    """As asked."""
    truth: Array
    """Seconds that it really took."""
    reported: Array
    """Seconds that somebody says it took; NaN: nobody does."""
    known_at: Array
    trusted: Array
    """Whether the operator's own meter says it."""
    miles: Array

    def __len__(self) -> int:
        return len(self.at)

    @property
    def fair(self) -> Array:
        """Rides that an answer can be held against: those that the data contract keeps."""
        return _clean(self.truth, self.miles)


def arrivals(folder: Path, since: float, until: float) -> list[Arrival]:
    """Real rides of a stretch (seconds since 1970) as people who ask, in order of time."""
    window = (datetime.fromtimestamp(each, UTC).replace(tzinfo=None) for each in (since, until))
    return list(replay(files.read(str(folder), USE_CASE.data, *window)))


def lived(asked: Sequence[Arrival], by: Scenario | None, since: float) -> Rides:
    """Let a scenario happen from a moment on.

    Raises:
        ValueError: what the meters say is of other rides: the scenario touches who is asked about, by who reports.
    """
    if by is None:
        return _rides(asked, asked)
    told = list(changed(asked, by, since, _SEED))
    true = list(changed([replace(each, trusted=True) for each in asked], by, since, _SEED))
    if [(each.moment, each.request) for each in told] != [(each.moment, each.request) for each in true]:
        message = f"{by.name} lets other rides happen where the operator's own meters report"
        raise ValueError(message)
    return _rides(told, true)


def always(past: Examples, by: Scenario) -> Examples:
    """What past rides would have been if the scenario had always held; none is left out, and outcomes are true.

    A ride that the scenario would have prevented is drawn again: who knows everything knows what it would have taken.
    """
    chance, request = np.random.default_rng([_SEED, 5]), USE_CASE.api.to_request
    columns = {name: values.tolist() for name, values in past.features.items()}
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    moments = past.features["pickup_time"].tolist()
    meant = []
    for row, moment, target in zip(rows, moments, past.target.tolist(), strict=True):
        ride = Arrival(float(moment), PERSONA, request(row), target, moment + target, trusted=True)
        came = next(filter(None, (by.change(ride, chance) for _ in range(_TRIES))), ride)
        meant.append(came)
    features = _features([each.request for each in meant])
    target = np.array([each.actual for each in meant], np.float32)
    return replace(past, features=features, target=target)


def stands(rides: Rides) -> Array:
    """Whether each ride's outcome labels it: the rules of ``collect-outcomes``."""
    live = USE_CASE.live
    moment, known_at = (_times(each) for each in (rides.features["pickup_time"], rides.known_at))
    trusted, hour, own_clock = frozenset({_AUDITOR}), timedelta(hours=1), bool(live.moment)
    rules = Rules(live.possible, trusted, hour, max(known_at), own_clock, USE_CASE.target.unit == "s")
    found = np.zeros(len(rides), bool)
    for number, actual in enumerate(rides.reported.tolist()):
        if np.isnan(actual):
            continue
        told = {
            "asker": _AUDITOR if rides.trusted[number] else _ASKER, "actual": actual, "at": known_at[number],
            "received_at": known_at[number], "origin": "", "line": number,
        }  # fmt: skip
        judged = judge({"asker": _ASKER, "moment": moment[number]}, None, [told], rules)
        found[number] = judged.classes[0] == STANDS
    return found


class Tables:
    """The live tables, as they are at :attr:`now`."""

    def __init__(self, rides: Rides) -> None:
        """Nobody has answered anything yet."""
        self.rides, self.now = rides, 0.0
        self.moment = rides.features["pickup_time"].astype(np.float64)
        self._stands = stands(rides)
        self._refused = ~self._stands & ~np.isnan(rides.reported)
        self.doubtful = np.zeros(len(rides), bool)
        self.answers = np.full((len(rides), 3), np.nan)
        """Answer, and ends of its interval, of each ride."""
        self.version = np.full(len(rides), "", object)
        names = [each.name for each in USE_CASE.features]
        self._asked = pa.StructArray.from_arrays([pa.array(rides.features[name]) for name in names], names)
        self._table: pa.Table | None = None

    def served(self, since: float, version: str, answers: Sequence[Array]) -> None:
        """From a moment on this version answers: ``answers`` are its answers to all rides, and their intervals' ends."""
        later = self.rides.at >= since
        self.answers[later] = np.column_stack(answers)[later]
        self.version[later] = version
        self._table = None

    @property
    def known(self) -> Array:
        """Rides with an outcome that stands by now."""
        return self._stands & (self.rides.at <= self.now) & (self.rides.known_at <= self.now)

    def collect(self) -> None:
        """Doubt whoever is unlike all others, as the step does when it has brought answers and outcomes together."""
        known = self.known
        if not known.any():
            return
        rows = known & (self.moment >= self.moment[known].max() - DAYS * DAY)
        value = self.answers[rows, 0]
        error = (self.rides.reported[rows] - value) / np.maximum(np.abs(value), 1e-9)
        trusted = self.rides.trusted[rows]
        found = unlike_others(np.where(trusted, _AUDITOR, _ASKER).astype(object), error, trusted)
        if found:
            self.doubtful |= rows & ~self.rides.trusted
            self._table = None

    def read(  # noqa: PLR0913 - as tiphys.lake.live.read
        self,
        _use_case: str,
        table: str,
        *,
        since: float | None = None,
        until: float | None = None,
        clock: str = "moment",
        columns: Sequence[str] = (),
        snapshot: int | None = None,
    ) -> pa.Table:
        """Read rows with ``since <= clock < until``: see ``tiphys.lake.live.read``."""
        del snapshot  # the state of the tables is that of now
        if table == "outcomes_quarantine":
            told = self._refused & (self.rides.known_at <= self.now)
            told &= (self.rides.known_at >= (since or -np.inf)) & (self.rides.known_at < (until or np.inf))
            return pa.table({"reason": pa.array(["impossible"] * int(told.sum()), pa.string())}).select(list(columns))
        rows = self.known if table == "labelled" else self.rides.at <= self.now
        by = self.rides.at if clock == "at" else self.moment
        rows &= (by >= (-np.inf if since is None else since)) & (by < (np.inf if until is None else until))
        return self._columns().select(list(columns)).filter(pa.array(rows))

    def training(self) -> Timed:
        """What is exported for training by now: labelled by riders and not in doubt, by the data contract's rules."""
        usable = self.known & ~self.rides.trusted & ~self.doubtful & _clean(self.rides.reported, self.rides.miles)
        return Timed(self._examples(usable), self.moment[usable])

    def holdout(self, since: float) -> Examples:
        """What the operator's own meters told by now of rides since a moment."""
        return self._examples(self.known & self.rides.trusted & (self.moment >= since))

    def _examples(self, rows: Array) -> Examples:
        rows = np.flatnonzero(rows)
        rows = rows[np.argsort(self.moment[rows], kind="stable")]
        features = {name: values[rows] for name, values in self.rides.features.items()}
        month = features["pickup_time"].astype("datetime64[s]").astype("datetime64[M]").astype(np.int32) + 1970 * 12
        miles = self.rides.miles[rows].astype(np.float32)
        return Examples(features, self.rides.reported[rows].astype(np.float32), month, {"miles": miles})

    def _columns(self) -> pa.Table:
        if self._table is None:
            rides, everything = self.rides, len(self.rides)
            value, low, high = self.answers.T
            columns: dict[str, Any] = {
                "at": _micros(rides.at), "moment": _micros(self.moment), "model_version": self.version,
                "source": np.full(everything, "model", object), "features": self._asked, "value": value, "low": low,
                "high": high, "shadow": np.zeros(everything, bool), "actual": rides.reported,
                "trusted": rides.trusted, "doubtful": np.where(self.doubtful, "unlike others", "").astype(object),
            }  # fmt: skip
            self._table = pa.table({name: pa.array(each) for name, each in columns.items()})
        return self._table


def _rides(told: Sequence[Arrival], true: Sequence[Arrival]) -> Rides:
    """Rides as they were told, with what was true; a question that the gateway refuses is none."""
    taken = [number for number, each in enumerate(told) if _is_taken(each.request)]
    told, true = [told[number] for number in taken], [true[number] for number in taken]
    nothing = float("nan")
    return Rides(
        np.array([each.moment for each in told]),
        _features([each.request for each in told]),
        np.array([each.actual for each in true], np.float64),
        np.array([nothing if each.actual is None else each.actual for each in told], np.float64),
        np.array([each.known_at for each in told]),
        np.array([each.trusted for each in told]),
        np.array([each.facts.get("miles", nothing) for each in told]),
    )


def _is_taken(request: Mapping[str, Any]) -> bool:
    try:
        USE_CASE.api.request.model_validate_json(json.dumps(request))
    except ValueError:
        return False
    return True


def _features(requests: Iterable[Mapping[str, Any]]) -> dict[str, Array]:
    api = USE_CASE.api
    rows = [api.to_features(api.request.model_validate_json(json.dumps(each))) for each in requests]
    return {each.name: np.array([row[each.name] for row in rows], each.dtype) for each in USE_CASE.features}


def _times(seconds: Array) -> list[datetime]:
    return [datetime.fromtimestamp(each, UTC).replace(tzinfo=None) for each in seconds.tolist()]


def _clean(seconds: Array, miles: Array) -> Array:
    shortest, longest = USE_CASE.live.possible
    good = (seconds >= shortest) & (seconds <= longest) & (miles > 0) & (miles <= FARTHEST_MILES)
    found: Array = good & (miles * 3600 < FASTEST_MPH * seconds)
    return found


def _micros(seconds: Array) -> Any:
    return pa.array(np.round(seconds * 1e6).astype(np.int64)).cast(pa.timestamp("us"))
