"""What may be sent to the governor: an alert, or somebody's request for a training. The schema is closed.

Nothing in it names a template, an image, an address or an account: what a yes starts is fixed where the governor runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Kind = Literal["data", "prediction", "label", "error", "calibration", "volume", "quality"]
Severity = Literal["warning", "critical"]
UseCaseName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=63)]
"""A use case's name, or its dotted package; 63 characters, for it becomes a label."""
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A text without control characters."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Window(_Closed):
    """From when to when it was looked, by the use case's own clock."""

    from_: datetime = Field(alias="from")
    to: datetime

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Alert(_Closed):
    """Something moved."""

    type: Literal["tiphys.alert.v1"] = "tiphys.alert.v1"
    use_case: UseCaseName
    kind: Kind
    subject: Annotated[Line, Field(min_length=1, max_length=128)] = "all"
    """The column or slice that moved."""
    severity: Severity = "warning"
    moment: datetime | None = None
    """When it was noticed, by the use case's own clock."""
    window: Window | None = None
    value: float | None = None
    threshold: float | None = None
    labelled: int | None = Field(default=None, ge=0)
    """Labelled rows since the drift began; None where the sender cannot know, as Alertmanager."""
    model_version: Annotated[Line, Field(max_length=256)] = ""
    report: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{0,64}$")] = ""
    """Run of MLflow with the report."""
    text: Annotated[Line, Field(max_length=2000)] = ""


class Request(_Closed):
    """Somebody asks for a training: a person, or a schedule. Which of them, the sender's secret says."""

    type: Literal["tiphys.request.v1"] = "tiphys.request.v1"
    use_case: UseCaseName
    asked_by: Annotated[Line, Field(min_length=1, max_length=128)]
    reason: Annotated[Line, Field(min_length=1, max_length=500)]
