"""The figures of one look in Prometheus' text format: the governor takes them, and Prometheus scrapes them there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.watch.drift.watch import Look

Samples = list[tuple[dict[str, str], float]]
"""Labels and value of each series of one metric."""

_HELP = {
    "tiphys_drift_rows": "live answers in the window",
    "tiphys_drift_labelled_rows": "answers of the watched model whose truth is known, by slice",
    "tiphys_drift_psi": "population stability index of a column against the reference",
    "tiphys_drift_error": "mean absolute error in the window, in the unit of the target, by slice",
    "tiphys_drift_error_reference": "the same where the model was evaluated",
    "tiphys_drift_error_expected": "mean absolute error expected before truths are known",
    "tiphys_drift_coverage": "share of truths within their intervals, by slice",
    "tiphys_drift_evidence": "evidence of the running test of errors, as a share of what raises an alarm",
    "tiphys_drift_volume_ratio": "rows of the last day as a share of those expected",
    "tiphys_drift_alarm": "1 for what alarms now, 0 for what was looked at and does not",
    "tiphys_drift_window_end_seconds": "moment after the window's last, by the use case's own clock, since 1970",
    "tiphys_drift_last_run_seconds": "when the step looked, by the wall clock, since 1970",
}


def text(look: Look, about: Mapping[str, Any], until: float, wall: float) -> str:
    """Write all metrics; what is not known is left out."""
    own = {"use_case": about["use_case"], "model_version": about["model_version"]}
    lines: list[str] = []
    found = _samples(look, until, wall)
    for name, help_ in _HELP.items():
        samples = [each for each in found[name] if math.isfinite(each[1])]
        if samples:
            lines += [f"# HELP {name} {help_}", f"# TYPE {name} gauge"]
            lines += [f"{name}{{{_labels({**own, **labels})}}} {value:.9g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _samples(look: Look, until: float, wall: float) -> dict[str, Samples]:
    groups, figures = look.groups.items(), look.figures
    return {
        "tiphys_drift_rows": [({}, float(look.rows))],
        "tiphys_drift_labelled_rows": [({"slice": name}, each["rows"]) for name, each in groups],
        "tiphys_drift_psi": [({"column": name}, each.psi) for name, each in look.shifts.items() if each.rows],
        "tiphys_drift_error": [({"slice": name}, each["error"]) for name, each in groups],
        "tiphys_drift_error_reference": [
            ({"slice": name}, figures.get(f"error_reference.{name}", math.nan)) for name, _ in groups
        ],
        "tiphys_drift_error_expected": [({}, figures.get("error.expected", math.nan))],
        "tiphys_drift_coverage": [({"slice": name}, each["inside"]) for name, each in groups],
        "tiphys_drift_evidence": [
            ({"slice": each.group, "direction": each.direction}, each.peak / each.limit) for each in look.tracks
        ],
        "tiphys_drift_volume_ratio": [({}, look.volume.ratio)],
        "tiphys_drift_alarm": [
            ({"kind": each.kind, "subject": each.subject, "severity": each.severity}, float(each.state == "alarm"))
            for each in look.checks
            if each.state != "unknown"
        ],
        "tiphys_drift_window_end_seconds": [({}, until)],
        "tiphys_drift_last_run_seconds": [({}, wall)],
    }


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
