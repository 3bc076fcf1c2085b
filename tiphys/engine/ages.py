"""Times and durations as Argo's command line writes them for a person."""

from __future__ import annotations

import time

_UNITS = (
    ("year", 31557600), ("month", 2629800), ("week", 604800), ("day", 86400),
    ("hour", 3600), ("minute", 60), ("second", 1),
)  # fmt: skip
_SMALLER = {"minute": ("second", 1), "hour": ("minute", 60), "day": ("hour", 3600)}
_DAY = 86400


def timestamp(moment: float, now: float) -> str:
    """`Mon Jan 02 15:04:05 +0000 (3 minutes ago)`; both in seconds since the epoch."""
    shown = time.strftime("%a %b %d %H:%M:%S %z", time.localtime(moment))
    past = _largest(now - moment)
    return f"{shown} ({past} ago)" if now - moment >= 1 else f"{shown} (now)"


def ahead(moment: float, now: float) -> str:
    """`Mon Jan 02 15:04:05 +0000 (3 minutes from now)`; both in seconds since the epoch."""
    shown = time.strftime("%a %b %d %H:%M:%S %z", time.localtime(moment))
    return f"{shown} ({_largest(max(moment - now, 0))} from now)"


def long(seconds: float) -> str:
    """A duration in up to two units: `5 seconds`, `1 minute 5 seconds`, `2 hours 0 minutes`."""
    whole = _largest(seconds)
    unit = whole.split()[1].rstrip("s")
    if unit not in _SMALLER:
        return whole
    name, size = _SMALLER[unit]
    larger = dict(_UNITS)[unit]
    return f"{whole} {int(seconds % larger // size)} {name}s"


def short(seconds: float) -> str:
    """A duration in one unit: `0s`, `5s`, `1m`, `2h`, `3d`."""
    for letter, size in (("d", _DAY), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{letter}"
    return f"{int(max(seconds, 0))}s"


def _largest(seconds: float) -> str:
    for name, size in _UNITS:
        count = int(seconds // size)
        if count >= 1:
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "0 seconds"
