"""MLflow's aliases follow the ledger: ``models:/NAME@production`` names the version that was last seen to serve there.

They are for people who look at the registry. The ledger is the truth: an alias that could not be set is a warning.
"""

from __future__ import annotations

from tiphys.errors import TiphysError
from tiphys.release.records import Recorded
from tiphys.settings import TrackingSettings
from tiphys.tracking import Tracking

_PATIENCE = 2.0
"""Seconds, about, that MLflow is waited for: nobody waits for an alias."""


def follow(recorded: Recorded, settings: TrackingSettings) -> str:
    """Let the environment's alias name the version of a release that serves; returns a warning where it could not."""
    name = recorded.model_version.removeprefix("models:/").rpartition("/")[0]
    if not recorded.model_version.startswith("models:/") or not recorded.number.isdigit():
        return ""
    try:
        Tracking(settings, patience=0, timeout=_PATIENCE).set_alias(name, recorded.environment, int(recorded.number))
    except TiphysError as error:
        return f"MLflow's alias {name}@{recorded.environment} still names another version: {error}"
    return ""
