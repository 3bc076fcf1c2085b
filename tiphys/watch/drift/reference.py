"""The reference of one model version: all that live rows are held against, made once, with one address for its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tiphys.watch.drift.expected import ExpectedError
from tiphys.watch.drift.quality import Known, known_from, stuck_share
from tiphys.watch.drift.residuals import Residuals, Rows
from tiphys.watch.drift.shift import Dispersion, dispersion
from tiphys.watch.drift.sketch import Array, Bins, Sketch, stratum_of
from tiphys.watch.drift.volume import Rhythm

ANSWER, TRUTH = "answer", "truth"
"""Names under which the answers and the truths are columns of their own."""
FORMAT = 1

Kind = Literal["number", "category"]


@dataclass(frozen=True)
class Column:
    """One watched column of the reference."""

    sketch: Sketch
    dispersion: Dispersion
    known: Known

    @classmethod
    def of(cls, name: str, kind: Kind, values: Array, moment: Array) -> Column:
        """Learn how it is spread, and how that differs from day to day."""
        bins = Bins.of(name, kind, values)
        sketch = Sketch.of(bins, values, stratum_of(moment))
        return cls(sketch, dispersion(bins, values, moment), Known.of(kind, values))


@dataclass(frozen=True)
class Reference:
    """What the world was like."""

    about: Mapping[str, Any]
    """Where it is from: use case, version, dataset, rows, unit."""
    columns: Mapping[str, Column]
    masks: Mapping[str, float]
    """Share of the rows in each slice."""
    rhythm: Rhythm
    residuals: Residuals
    expected: ExpectedError
    stuck: float
    """Share of rows at the commonest moment."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What each column is, for people."""

    @property
    def address(self) -> str:
        """sha256 of the content."""
        return hashlib.sha256(self.dump()).hexdigest()

    def dump(self) -> bytes:
        """As JSON; the same content gives the same bytes."""
        columns = {
            name: {"sketch": each.sketch.as_dict(), "dispersion": vars(each.dispersion), "known": each.known.as_dict()}
            for name, each in self.columns.items()
        }
        held = {
            "format": FORMAT, "about": dict(self.about), "columns": columns, "masks": dict(self.masks),
            "rhythm": self.rhythm.as_dict(), "residuals": self.residuals.as_dict(), "expected": self.expected.as_dict(),
            "stuck": self.stuck, "meanings": dict(self.meanings),
        }  # fmt: skip
        return json.dumps(held, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def load(cls, content: bytes) -> Reference:
        """Read what :meth:`dump` wrote.

        Raises:
            ValueError: it is of another format.
        """
        held = json.loads(content)
        if held.get("format") != FORMAT:
            message = (
                f"the reference has format {held.get('format')!r}, this code reads {FORMAT}: let monitor make it again"
            )
            raise ValueError(message)
        columns = {
            name: Column(Sketch.from_dict(each["sketch"]), Dispersion(**each["dispersion"]), known_from(each["known"]))
            for name, each in held["columns"].items()
        }
        rhythm = Rhythm(np.array(held["rhythm"]["shares"]), held["rhythm"]["spread"])
        return cls(
            held["about"], columns, held["masks"], rhythm, Residuals.from_dict(held["residuals"]),
            ExpectedError.from_dict(held["expected"]), held["stuck"], held["meanings"],
        )  # fmt: skip


def make(  # noqa: PLR0913 - what a reference is made of
    about: Mapping[str, Any],
    *,
    moment: Array,
    columns: Mapping[str, tuple[Kind, str, Array]],
    truths: Array,
    tested: Rows,
    masks: Mapping[str, Array],
) -> Reference:
    """Make a reference.

    ``moment`` [n], ``columns`` (kind, meaning, values [n]), ``truths`` [n] and ``masks`` [n] are of all past rows; ``tested``
    are answers to rows that the model never saw.
    """
    given: dict[str, tuple[Kind, str, Array]] = {
        **columns,
        TRUTH: ("number", "what came of it", truths),
    }
    learnt = {name: Column.of(name, kind, values, moment) for name, (kind, _, values) in given.items()}
    answers = Column.of(ANSWER, "number", tested.value, tested.moment)
    learnt[ANSWER] = Column(answers.sketch, _wider(answers.dispersion, learnt[TRUTH].dispersion), answers.known)
    return Reference(
        {**about, "rows": len(moment), "tested": len(tested)},
        learnt,
        {name: float(mask.mean()) if len(mask) else 0.0 for name, mask in masks.items()},
        Rhythm.fit(moment),
        Residuals.fit(tested),
        ExpectedError.fit(tested.value, tested.low, tested.high, tested.actual),
        stuck_share(moment),
        {name: meaning for name, (_, meaning, _) in given.items()} | {ANSWER: "what was answered"},
    )


def _wider(a: Dispersion, b: Dispersion) -> Dispersion:
    """A single tested month tells little of how weeks differ: at least as much as truths do."""
    return Dispersion(max(a.day, b.day), max(a.week, b.week))
