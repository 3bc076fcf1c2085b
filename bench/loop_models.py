"""The models of bench/loop.py: the first one, an oracle, and what a retraining makes and its gates say. Trains as the steps do, in this process.

Weights are kept in a folder under the digest of what they were made from, so a plot can be drawn anew without training again.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench import retrain
from bench.model import USE_CASE
from components.evaluate import contest, measure
from components.evaluate.rows import Rows
from components.export import interval
from components.monitor.reference import of_examples
from components.train import choose
from tiphys import model_files
from tiphys.errors import DataError
from tiphys.lake.window import cut, prepared, together
from tiphys.model_files import KIND, NETWORK
from tiphys.usecase import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from components.evaluate.contest import Contender
    from tiphys.lake.window import Timed
    from tiphys.usecase import Array, Examples
    from tiphys.watch.drift.reference import Reference

_MONTH_S = 30 * 86_400.0
_BATCH = 65_536


@dataclass(frozen=True)
class Model:
    """One that answers."""

    kind: str
    module: nn.Module
    band: interval.Band | None = None
    """What makes intervals of answers; None: it gives none."""

    @property
    def weights(self) -> bytes:
        """As they are registered."""
        return model_files.dump(self.module, {} if self.kind == NETWORK else {KIND: self.kind})

    def __call__(self, features: Mapping[str, Array]) -> dict[str, Array]:
        """Answers and the ends of their intervals, float64 [n] each."""
        asked = [torch.from_numpy(features[each.name].copy()) for each in USE_CASE.features]
        with torch.inference_mode():
            parts = [
                self.module(*(each[first : first + _BATCH] for each in asked)).numpy()
                for first in range(0, len(asked[0]), _BATCH)
            ]
        value = np.concatenate(parts)
        low, high = (np.full_like(value, np.nan),) * 2 if self.band is None else self.band.around(value)
        return {
            name: each.astype(np.float64)
            for name, each in zip(("prediction", "low", "high"), (value, low, high), strict=True)
        }

    def errors(self, features: Mapping[str, Array], truth: Array) -> Array:
        """Absolute error of each row, s."""
        found: Array = np.abs(self(features)["prediction"] - truth)
        return found


@dataclass(frozen=True)
class Outcome:
    """How a retraining ended."""

    said: str
    """For a person, in a line."""
    model: Model | None = None
    """What goes to production; None: nothing does."""
    figures: Mapping[str, float] | None = None
    seconds: float = 0.0
    """Wall time of training and judgement."""


class Workshop:
    """Makes models, each once."""

    def __init__(self, kept: Path) -> None:
        """Keep weights in a folder."""
        self._kept = kept
        kept.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(1)

    def first(self, rows: Examples) -> Model:
        """Train on whole months, the last being left to make intervals and the reference from."""
        module = self._network("first", [rows], lambda: retrain.by_months(rows))
        latest = rows.where(rows.month == rows.month.max())
        return _with_band(NETWORK, module, latest)

    def oracle(self, past: Timed, until: float) -> Model:
        """Train on rides of a past in which the world had always been as it is from ``until`` on; the last 30 days are to stop on."""
        latest = past.moment >= until - _MONTH_S
        parts = past.rows.where(~latest), past.rows.where(latest), past.rows
        return Model(NETWORK, self._network("oracle", parts[:2], lambda: retrain.train(*parts)))

    def retrained(self, known: Timed, since: str, champion: Model, holdout: Examples) -> Outcome:
        """Do what a yes starts: choose a window, train, judge the best of network, trees and status quo."""
        began = time.perf_counter()
        try:
            made = cut(known, since)
        except DataError as error:
            return Outcome(f"train refuses: {str(error).partition(':')[0]}")
        window = choose.window(USE_CASE, made, choose.Asked(since))
        module = self._network(
            f"window {window}",
            [made.train.rows, made.validation.rows],
            lambda: retrain.windowed(made, window),
        )
        past = prepared(together([made.train, made.validation]), window).rows
        rows = Rows(past, made.test.rows, since, newest=True, holdout=holdout)
        measured = measure.of_rows(USE_CASE, rows, Model(NETWORK, module).weights, champion.weights)
        contenders = contest.hold(USE_CASE.part("gates").GATES, measured)
        chosen = contest.best(contenders)
        figures, took = chosen.measured.figures, time.perf_counter() - began
        if chosen.verdict != "passed":
            return Outcome(f"the gate refuses it: {_missed(chosen)}", None, figures, took)
        found = module if chosen.name == NETWORK else measured.answers.modules[chosen.name]
        return Outcome(_passed(chosen, window.level), _with_band(chosen.name, found, made.test.rows), figures, took)

    def _network(self, what: str, rows: Sequence[Examples], make: Callable[[], nn.Module]) -> nn.Module:
        path = self._kept / f"{_digest(what, rows)}.safetensors"
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(model_files.dump(make(), {}))
            part.replace(path)
        return model_files.load_model(USE_CASE, path.read_bytes())


def reference(model: Model, rows: Timed, version: str) -> Reference:
    """What live rows are held against, as ``monitor`` makes it of a version's dataset."""
    about = {"model_version": version, "dataset": "", "manifest": ""}
    last = rows.rows.month == rows.rows.month.max()
    return of_examples(USE_CASE, rows.rows, rows.moment, last, model, about)


def in_order(parts: Sequence[Timed]) -> Timed:
    """All rows in order of time."""
    both = together(parts)
    order = np.argsort(both.moment, kind="stable")
    return both.where(order)


def _with_band(kind: str, module: nn.Module, latest: Examples) -> Model:
    """Intervals are made from half of the rows that nobody trained on, as the step export does."""
    half, _ = interval.halves(len(latest))
    some = latest.where(half)
    return Model(kind, module, interval.fit(Model(kind, module)(some.features)["prediction"], some.target))


def _missed(chosen: Contender) -> str:
    missed = [each for each in chosen.judged if each.outcome == "missed"]
    last = missed[-1]  # what is asked of the champion stands last
    more = f", and {len(missed) - 1} more" if len(missed) > 1 else ""
    return f"{last.gate.metric} {last.value:.3g}, asked {last.gate.compare} {last.limit:.3g}{more}"


def _passed(chosen: Contender, level: float) -> str:
    found = chosen.measured.figures
    return f"{chosen.name}, level {level:.2f}: newest rides {found['newest.mae']:.0f} s, champion {found['newest.champion_mae']:.0f} s"


def _digest(what: str, rows: Sequence[Examples]) -> str:
    found, every = hashlib.sha256(what.encode()), joined(list(rows))
    found.update(str([len(each) for each in rows]).encode())
    values: list[Any] = [*every.features.values(), every.target, every.month, *every.hindsight.values()]
    for each in values:
        found.update(np.ascontiguousarray(each).tobytes())
    return found.hexdigest()[:32]
