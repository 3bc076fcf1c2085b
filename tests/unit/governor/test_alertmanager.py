"""Alertmanager's messages as alerts of ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tiphys.watch.alerts import Alert
from tiphys.watch.governor.alertmanager import MOST, alerts
from tiphys.watch.governor.receive import RefusedError

pytestmark = pytest.mark.unit
LABELS = {
    "alertname": "Slow",
    "use_case": "taxi_eta",
    "kind": "error",
    "subject": "zone 132",
    "severity": "critical",
    "pod": "x",
}
FIRING: dict[str, Any] = {
    "status": "firing", "labels": LABELS, "annotations": {"summary": "slow"}, "startsAt": "2026-11-22T10:00:00.123Z",
    "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus/graph", "fingerprint": "ab12cd34ef56ab12",
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "tiphys", "groupLabels": {},
    "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": [FIRING],
}  # fmt: skip


def test_only_four_labels_count() -> None:
    """No address, no annotation and no other label comes through."""
    (received,) = alerts(MESSAGE, "alertmanager")
    assert received.event == Alert(
        use_case="taxi_eta", kind="error", subject="zone 132", severity="critical", text="from Alertmanager"
    )
    assert (received.source, received.trigger) == ("alertmanager", "alert")
    assert "http" not in received.body


def test_what_is_sent_again_is_the_same_event_until_it_fires_anew() -> None:
    """Alertmanager repeats what fires; another start is another alert."""
    again = copy.deepcopy(MESSAGE)
    again["alerts"].append({**FIRING, "startsAt": "2026-11-22T11:00:00Z"})
    first, anew = alerts(again, "alertmanager")
    assert alerts(MESSAGE, "alertmanager")[0].id == first.id != anew.id


def test_what_is_resolved_starts_nothing() -> None:
    """It is left out."""
    assert alerts({**MESSAGE, "alerts": [{**FIRING, "status": "resolved"}]}, "alertmanager") == []


@pytest.mark.parametrize(
    "message",
    [
        {**MESSAGE, "version": "5"},
        {**MESSAGE, "alerts": [FIRING] * (MOST + 1)},
        {**MESSAGE, "alerts": [{**FIRING, "labels": {"use_case": "taxi_eta"}}]},
        {**MESSAGE, "alerts": [{**FIRING, "labels": {**LABELS, "kind": "weather"}}]},
        {**MESSAGE, "alerts": [{**FIRING, "labels": {**LABELS, "use_case": "http://x"}}]},
        {**MESSAGE, "alerts": [{**FIRING, "fingerprint": "../x"}]},
        {"alerts": []},
        {},
    ],
)
def test_other_messages_are_refused(message: dict[str, Any]) -> None:
    """With what is wrong."""
    with pytest.raises(RefusedError) as error:
        alerts(message, "alertmanager")
    assert error.value.why == "malformed"
