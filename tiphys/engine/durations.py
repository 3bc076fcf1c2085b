"""Durations as manifests write them."""

from __future__ import annotations

import re

from tiphys.engine.errors import TemplateError

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)")


def seconds(text: str | float) -> float:
    """The seconds of `10`, `1.5s`, `2m30s` or `1h`. Raises TemplateError."""
    text = str(text).strip()
    if re.fullmatch(r"-?\d+", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        msg = f"unable to parse {text} as a duration: write a number with a unit, such as 30s or 5m"
        raise TemplateError(msg)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def words(duration: float) -> str:
    """`duration` (seconds) for a person, as Argo's messages write it."""
    parts: list[str] = []
    rest = round(duration)
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}{'s' if count != 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"
