"""One look at a window of live rows: every check, the figures, and the state that the next look goes on from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tiphys.watch.drift import sequential, volume
from tiphys.watch.drift.findings import Check, Kind, Severity
from tiphys.watch.drift.findings import State as Verdict
from tiphys.watch.drift.ledger import Ledger
from tiphys.watch.drift.reference import ANSWER, TRUTH, Reference
from tiphys.watch.drift.residuals import ALL, FIELDS
from tiphys.watch.drift.sequential import Track
from tiphys.watch.drift.shift import Shift, compare
from tiphys.watch.drift.sketch import DAY
from tiphys.watch.drift.summary import Summary, Window
from tiphys.watch.drift.thresholds import CHOSEN, STATED_COVERAGE, Thresholds

KEPT_DAYS = 70
"""Days of sums that are kept: what is older has no say in a running test any more."""


@dataclass(frozen=True)
class State:
    """What is carried from look to look, of one use case and model version."""

    errors: Ledger
    volume: Ledger

    @classmethod
    def new(cls, reference: Reference) -> State:
        """Nothing known."""
        return cls(Ledger(tuple(reference.residuals.groups), FIELDS), Ledger(volume.GROUPS, volume.FIELDS))

    def as_dict(self) -> dict[str, Any]:
        """As JSON's types."""
        return {"errors": self.errors.as_dict(), "volume": self.volume.as_dict()}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> State:
        """Read what :meth:`as_dict` wrote."""
        return cls(Ledger.from_dict(held["errors"]), Ledger.from_dict(held["volume"]))


@dataclass(frozen=True)
class Beside:
    """What is known of a window beside its rows: see ``Window``."""

    elsewhere: float = 0.0
    refused: int = 0


@dataclass(frozen=True)
class Look:
    """What one look found."""

    checks: tuple[Check, ...]
    figures: Mapping[str, float]
    shifts: Mapping[str, Shift]
    tracks: tuple[Track, ...]
    volume: volume.Volume
    state: State
    rows: int
    labelled: int
    groups: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Group -> its figures in the window: rows, error, inside, shift."""

    @property
    def alarms(self) -> list[Check]:
        """What is to be told, the gravest first."""
        found = [each for each in self.checks if each.state == "alarm"]
        return sorted(found, key=lambda each: (each.severity != "critical", each.kind, each.subject))

    @property
    def verdict(self) -> str:
        """``drift``, ``stable``, or ``not enough``: without rows nothing is well."""
        if self.alarms:
            return "drift"
        enough = [each for each in self.checks if each.kind in {"data", "prediction"} and each.state == "fine"]
        return "stable" if enough else "not enough"


def look(reference: Reference, window: Window, state: State, chosen: Thresholds = CHOSEN) -> Look:
    """Hold a window against the reference, and go on with the tests that run from look to look."""
    summary = Summary.of(reference, window)
    beside = Beside(window.elsewhere, window.refused)
    return judge(reference, summary, state, (window.since, window.until), beside, chosen)


def judge(  # noqa: PLR0913, PLR0917 - what is judged, by what, and when
    reference: Reference,
    summary: Summary,
    state: State,
    stretch: tuple[float, float],
    beside: Beside = Beside(),
    chosen: Thresholds = CHOSEN,
) -> Look:
    """Judge the sums of the rows between two moments; what the state held of that stretch is replaced by them."""
    since, until = stretch
    counted = state.volume.replaced(summary.volume, since, until)
    errors = state.errors.replaced(summary.errors, since, until)
    oldest = int(until // DAY) - KEPT_DAYS
    state = State(errors.since(oldest), counted.since(oldest))
    came = volume.judge(counted, reference.rhythm, until, until - since)
    shifts = {
        name: compare(reference.columns[name].sketch, now, reference.columns[name].dispersion, (until - since) / DAY)
        for name, now in summary.sketches.items()
    }
    running = tuple(sequential.tracks(state.errors, reference.residuals, chosen))
    groups = {name: _of_group(summary.errors, number) for number, name in enumerate(summary.errors.groups)}
    labelled = int(groups.get(ALL, {}).get("rows", 0))
    checks = [
        _volume(came, counted, summary, chosen),
        *_quality(reference, summary, shifts, beside.elsewhere, chosen),
        *_reports(beside.refused, labelled, chosen),
        *(_mix(each, chosen) for each in shifts.values()),
        *(_error(each, reference, since) for each in running),
        _coverage(reference, groups.get(ALL, {}), summary.errors, chosen),
        _estimate(reference, summary, chosen),
    ]
    figures = _figures(reference, summary, shifts, running, came, groups)
    return Look(tuple(checks), figures, shifts, running, came, state, summary.rows, labelled, groups)


def _mix(found: Shift, chosen: Thresholds) -> Check:
    kinds: dict[str, Kind] = {ANSWER: "prediction", TRUTH: "label"}
    kind = kinds.get(found.name, "data")
    if found.rows < chosen.fewest or not found.tested:
        why = (
            "says only what time it is, and the window is no whole week"
            if found.rows >= chosen.fewest
            else f"{found.rows} rows"
        )
        return Check(kind, found.name, "unknown", found.psi, chosen.psi, f"{found.name}: not judged ({why})")
    far = found.psi >= chosen.psi and found.p <= chosen.p
    most = int(np.argmax(np.abs(found.now - found.expected)))
    text = (
        f"{found.name}: {found.labels[most]} is {found.now[most]:.1%} of the rows, {found.expected[most]:.1%} was expected "
        f"(PSI {found.psi:.3f}, p {found.p:.1e}, {found.rows} rows)"
    )
    severity: Severity = "critical" if found.psi >= chosen.psi_critical else "warning"
    labelled = found.rows if kind == "label" else 0
    return Check(kind, found.name, "alarm" if far else "fine", found.psi, chosen.psi, text, severity, labelled)


def _error(track: Track, reference: Reference, since: float) -> Check:
    words = {
        "longer": "truths exceed the answers",
        "shorter": "truths fall short of the answers",
        "wider": "errors are larger",
    }
    subject = track.group if track.direction == "longer" else f"{track.group}:{track.direction}"
    current = len(track.days) > 0 and (track.days[-1] + 1) * DAY > since
    state: Verdict = "unknown" if not current else "alarm" if track.alarms else "fine"
    text = (
        f"{track.group}: evidence that {words[track.direction]} is {track.peak:.1f} of {track.limit:.1f}, "
        f"{track.labelled} labelled rows (usually off by {reference.residuals.groups[track.group].error:.1f} {reference.about.get('unit', '')})"
    )
    begun = track.since if track.alarms else math.nan
    severity: Severity = "critical" if track.group == ALL else "warning"
    return Check("error", subject, state, track.peak, track.limit, text, severity, track.everybody, begun)


def _coverage(reference: Reference, found: Mapping[str, float], sums: Ledger, chosen: Thresholds) -> Check:
    rows, share = int(found.get("rows", 0)), found.get("inside", math.nan)
    if rows < chosen.fewest:
        return Check(
            "calibration",
            ALL,
            "unknown",
            share,
            chosen.coverage,
            f"calibration: {rows} labelled rows are too few",
            labelled=rows,
        )
    if reference.residuals.groups[ALL].inside == 0.0:
        return Check(
            "calibration", ALL, "unknown", math.nan, chosen.coverage, "calibration: the model gives no intervals"
        )
    days = max(1, len(sums.days))
    tau = reference.residuals.groups[ALL].inside_tau
    z = abs(share - STATED_COVERAGE) / math.sqrt(STATED_COVERAGE * (1 - STATED_COVERAGE) / rows + tau**2 / days)
    off = abs(share - STATED_COVERAGE)
    alarms = off >= chosen.coverage and z >= chosen.coverage_z
    text = f"{share:.1%} of {rows} truths lie within their intervals, {STATED_COVERAGE:.0%} is stated (z {z:.1f})"
    return Check("calibration", ALL, "alarm" if alarms else "fine", off, chosen.coverage, text, labelled=rows)


def _estimate(reference: Reference, summary: Summary, chosen: Thresholds) -> Check:
    rows, total = summary.expected
    if rows < chosen.fewest or reference.expected.level <= 0:
        text = f"expected error: {rows} answers are too few"
        return Check("prediction", "expected error", "unknown", math.nan, chosen.estimate, text)
    expected = total / rows
    ratio, unit = expected / reference.expected.level, reference.about.get("unit", "")
    text = f"answers like these were off by {expected:.1f} {unit}, {ratio:.2f} times the evaluation's {reference.expected.level:.1f}"
    state: Verdict = "alarm" if ratio >= chosen.estimate else "fine"
    return Check("prediction", "expected error", state, ratio, chosen.estimate, text)


def _volume(came: volume.Volume, counted: Ledger, summary: Summary, chosen: Thresholds) -> Check:
    known = sum(float(block.sum()) for block in counted.days.values())
    if not summary.rows and known:
        text = "no question was answered in the window, though there were some before"
        return Check("volume", ALL, "alarm", 0.0, chosen.volume_low, text, "critical")
    if math.isnan(came.expected):
        text = f"{came.rows} rows on the last day; too little past to expect any number"
        return Check("volume", ALL, "unknown", math.nan, chosen.volume_low, text)
    low = came.ratio <= chosen.volume_low
    limit = chosen.volume_low if came.ratio < 1 else chosen.volume_high
    far = (low or came.ratio >= chosen.volume_high) and abs(came.z) >= chosen.volume_z
    text = f"{came.rows} rows on the last day, {came.expected:.0f} were expected (z {came.z:+.1f})"
    return Check("volume", ALL, "alarm" if far else "fine", came.ratio, limit, text, "critical" if low else "warning")


def _reports(refused: int, labelled: int, chosen: Thresholds) -> Iterator[Check]:
    reports = refused + labelled
    if reports < chosen.fewest:
        return
    share = refused / reports
    text = f"{share:.1%} of {reports} reports cannot be true: outside of what is possible, or known before the end"
    state: Verdict = "alarm" if share >= chosen.refused else "fine"
    yield Check("quality", "outcomes", state, share, chosen.refused, text)


def _quality(
    reference: Reference, summary: Summary, shifts: Mapping[str, Shift], elsewhere: float, chosen: Thresholds
) -> Iterator[Check]:
    if summary.rows < chosen.fewest:
        return
    for name, found in summary.strange.items():
        if found.rows < chosen.fewest:
            continue
        known = reference.columns[name].known
        # What says only what time it is may well be one value in a stretch that is no whole week.
        share, constant = found.share(known), found.constant(known) and shifts[name].tested
        what = f"{found.missing / found.rows:.1%} missing, {found.unseen / found.rows:.1%} never seen before"
        what = "every row has the same value" if constant else what
        state: Verdict = "alarm" if constant or share >= chosen.strange else "fine"
        yield Check("quality", name, state, 1.0 if constant else share, chosen.strange, f"{name}: {what}")
    text = f"{elsewhere:.1%} of the questions asked meanwhile are about a moment outside of the window"
    away: Verdict = "alarm" if elsewhere >= chosen.elsewhere else "fine"
    yield Check("quality", "clock:elsewhere", away, elsewhere, chosen.elsewhere, text)
    stuck = max(0.0, summary.stuck - reference.stuck)
    text = f"{stuck:.1%} of {summary.rows} rows have one and the same moment"
    yield Check("quality", "clock", "alarm" if stuck >= chosen.stuck else "fine", stuck, chosen.stuck, text)


def _of_group(sums: Ledger, number: int) -> dict[str, float]:
    _, stacked = sums.stacked()
    total = dict(zip(FIELDS, stacked[:, number].sum(axis=(0, 1)), strict=True))
    rows = float(total["rows"])
    means = {name: float(total[name]) / rows if rows else math.nan for name in FIELDS[1:]}
    return {"rows": rows, **means}


def _figures(  # noqa: PLR0913, PLR0917 - all that there is to tell
    reference: Reference, summary: Summary, shifts: Mapping[str, Shift], running: tuple[Track, ...],
    came: volume.Volume, groups: Mapping[str, Mapping[str, float]],
) -> dict[str, float]:  # fmt: skip
    told: dict[str, float] = {"rows": float(summary.rows), "volume.ratio": came.ratio}
    if summary.expected[0]:
        told["error.expected"] = summary.expected[1] / summary.expected[0]
    for name, each in shifts.items():
        told[f"psi.{name}"] = each.psi if each.rows else math.nan
    for name, found in groups.items():
        told |= {
            f"error.{name}": found["error"],
            f"coverage.{name}": found["inside"],
            f"labelled.{name}": found["rows"],
        }
        told[f"error_reference.{name}"] = reference.residuals.groups[name].error
    for track in running:
        told[f"evidence.{track.group}.{track.direction}"] = track.peak / track.limit
    return {name: value for name, value in told.items() if math.isfinite(value)}
