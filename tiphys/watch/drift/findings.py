"""What one look found: a check for each thing that was looked at, and the alert that an alarming one becomes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["data", "prediction", "label", "error", "calibration", "volume", "quality"]
Severity = Literal["warning", "critical"]
State = Literal["alarm", "fine", "unknown"]
TYPE = "tiphys.alert.v1"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    kind: Kind
    subject: str
    """A column, a slice, or ``all``."""
    state: State
    value: float
    threshold: float
    text: str
    """In plain words, with figures."""
    severity: Severity = "warning"
    labelled: int = 0
    since: float = math.nan
    """Since when it shows, seconds by the use case's own clock; NaN: since the window began."""


def alert(check: Check, about: Mapping[str, Any], since: float, until: float, report: str = "") -> dict[str, Any]:
    """Return the event of an alarming check: ``about`` has use_case and model_version."""
    begun = since if math.isnan(check.since) else check.since
    return {
        "type": TYPE,
        "use_case": about["use_case"],
        "kind": check.kind,
        "subject": check.subject,
        "severity": check.severity,
        "moment": iso(until),
        "window": {"from": iso(begun), "to": iso(until)},
        "value": _figure(check.value),
        "threshold": _figure(check.threshold),
        "labelled": check.labelled,
        "model_version": about["model_version"],
        "report": report,
        "text": check.text,
    }


def identity(event: Mapping[str, Any]) -> str:
    """Name an alert: the same finding about the same model in the same window has the same name, so that a retry is a duplicate."""
    window = event["window"]
    named = (event["type"], event["use_case"], event["model_version"], event["kind"], event["subject"], window["to"])
    return "drift_" + hashlib.sha256("\n".join(map(str, named)).encode()).hexdigest()[:32]


def iso(moment: float) -> str:
    """Seconds since 1970 as ISO 8601, whole seconds, UTC."""
    return datetime.fromtimestamp(math.floor(moment), UTC).isoformat().replace("+00:00", "Z")


def _figure(value: float) -> float:
    return round(value, 6) if math.isfinite(value) else 0.0
