"""Alertmanager's webhook (version 4) as alerts of ours.

Only four labels count: ``use_case``, ``kind``, ``subject``, ``severity``. All else in a message is for people. An alert's id is made of
its fingerprint and of when it began, so that what Alertmanager sends again and again is one event.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tiphys.watch.alerts import Alert
from tiphys.watch.governor.receive import Received, shaped
from tiphys.watch.governor_client import event_id

MOST = 500
"""Alerts in one message."""
_COUNT = ("use_case", "kind", "subject", "severity")


class _Firing(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    fingerprint: str = Field(pattern=r"^[0-9a-f]{1,32}$")
    startsAt: datetime  # noqa: N815 - Alertmanager's name


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal["4"]
    alerts: list[_Firing] = Field(max_length=MOST)


def alerts(found: dict[str, Any], sender: str) -> list[Received]:
    """The alerts of a message that fire; those that are resolved start nothing and are left out.

    Raises:
        RefusedError: it is no message of version 4, or an alert has not the labels that count.
    """
    message = shaped(_Message, found)
    return [_received(each, sender) for each in message.alerts if each.status == "firing"]


def _received(firing: _Firing, sender: str) -> Received:
    labels = {name: firing.labels[name] for name in _COUNT if name in firing.labels}
    alert = shaped(Alert, {**labels, "text": "from Alertmanager"})
    identity = event_id("alertmanager", firing.fingerprint, firing.startsAt.isoformat())
    return Received(identity, "alertmanager", sender, "alert", alert, alert.model_dump_json(exclude_none=True))
