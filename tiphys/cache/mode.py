"""How a run uses the cache: as its annotation says, which the command line sets, else as the settings do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tiphys.errors import SettingsError
from tiphys.settings import EngineSettings, load

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

ANNOTATION = "tiphys/cache"
"""Of a Workflow: `on`, `off`, or `audit=SHARE`."""
AUDIT_ONLY = "audit-only"
"""Its value in the workflows of `tiphys cache audit`."""
EFFECTS, EVIDENCE, CONTRACT = "tiphys/effects", "tiphys/evidence", "tiphys/contract"
"""Of a template; `tiphys.manifest` writes them from the component's contract."""


def annotated(template: dict[str, Any]) -> Mapping[str, str]:
    """The annotations of a template's pod."""
    found: Mapping[str, str] = (template.get("metadata") or {}).get("annotations") or {}
    return found


@dataclass(frozen=True)
class Mode:
    """How a run uses the cache."""

    on: bool = True
    audit: float = 0.0
    """Share of the hits, 0 to 1, that run again and are compared."""
    only: bool = False
    """Whether nothing else runs: a step whose result would not be used is passed over."""


def mode_of(annotations: Mapping[str, str]) -> Mode:
    """The mode of a run with those annotations. Raises SettingsError."""
    return read(annotations.get(ANNOTATION) or load(EngineSettings).cache)


def read(text: str) -> Mode:
    """`on`, `off` or `audit=SHARE`. Raises SettingsError for anything else."""
    name, _, share = text.partition("=")
    if text == AUDIT_ONLY:
        return Mode(audit=1, only=True)
    if text in ("on", "off"):
        return Mode(on=text == "on")
    try:
        if name == "audit" and 0 <= float(share) <= 1:
            return Mode(audit=float(share))
    except ValueError:
        pass
    message = f"the cache of a run is on, off or audit=SHARE with a share from 0 to 1, not {text!r} (TIPHYS_CACHE)"
    raise SettingsError(message)


def asked_for(args: argparse.Namespace) -> str:
    """What flags or settings say, as the annotation; empty where that is `on`. Raises SettingsError.

    The run carries it, so that it also holds in an engine that was started with other settings.
    """
    text = "off" if args.no_cache else load(EngineSettings).cache
    if args.audit_cache is not None:
        text = f"audit={args.audit_cache:g}"
    return "" if read(text) == Mode() else text
