"""The methods of times, durations and versions that an expression may call, such as `date("2024-01-01").Year()`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tiphys.engine.expressions import layouts
from tiphys.engine.expressions.times import (
    HOUR,
    MINUTE,
    SECOND,
    UTC_LOCATION,
    ZERO,
    Duration,
    Location,
    Time,
    minus,
    month,
    plus,
    weekday,
)
from tiphys.engine.expressions.values import Function, Int64, NamedInt


def method(value: Any, name: str) -> Function | None:
    """The method `name` of `value`, if it has one."""
    table = _METHODS.get(getattr(value, "go_type", ""))
    if table is None or name not in table:
        return None
    parameters, call = table[name]
    return Function(lambda *arguments: call(value, *arguments), parameters)


def _need(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        msg = f"reflect: Call using {type(value).__name__} as {kind.__name__}"
        raise TypeError(msg)
    return value


def _add_date(time: Time, years: int, months: int, days: int) -> Time:
    wall = time.civil()[0]
    index = wall.year * 12 + wall.month - 1 + years * 12 + months
    first = wall.replace(year=index // 12, month=index % 12 + 1, day=1)
    made = first + timedelta(days=wall.day - 1 + days)
    fields = (made.year, made.month, made.day, made.hour, made.minute, made.second)
    return layouts.civil_time(fields, time.ns % SECOND, time.location)


def _truncate(time: Time, unit: Any) -> Time:
    size = _need(Duration, unit).ns
    return time if size <= 0 else Time(time.ns - (time.ns - ZERO) % size, time.location)


def _round(time: Time, unit: Any) -> Time:
    size = _need(Duration, unit).ns
    if size <= 0:
        return time
    rest = (time.ns - ZERO) % size
    return Time(time.ns - rest + (size if rest * 2 >= size else 0), time.location)


_TIME: dict[str, tuple[str, Callable[..., Any]]] = {
    "Year": ("", lambda time: time.civil()[0].year - time.shift),
    "Month": ("", lambda time: month(time.civil()[0].month)),
    "Day": ("", lambda time: time.civil()[0].day),
    "Hour": ("", lambda time: time.civil()[0].hour),
    "Minute": ("", lambda time: time.civil()[0].minute),
    "Second": ("", lambda time: time.civil()[0].second),
    "Nanosecond": ("", lambda time: time.ns % SECOND),
    "Weekday": ("", lambda time: weekday(time.civil()[0].isoweekday() % 7)),
    "YearDay": ("", lambda time: time.civil()[0].timetuple().tm_yday),
    "Unix": ("", lambda time: Int64(time.ns // SECOND)),
    "UnixMilli": ("", lambda time: Int64(time.ns // 1_000_000)),
    "UnixMicro": ("", lambda time: Int64(time.ns // 1000)),
    "UnixNano": ("", lambda time: Int64(time.ns)),
    "Format": ("s", layouts.show),
    "String": ("", str),
    "Add": ("a", lambda time, length: plus(time, _need(Duration, length))),
    "Sub": ("a", lambda time, other: minus(time, _need(Time, other))),
    "AddDate": ("iii", _add_date),
    "Before": ("t", lambda time, other: time < other),
    "After": ("t", lambda time, other: time > other),
    "Equal": ("t", lambda time, other: time == other),
    "Compare": ("t", lambda time, other: (time > other) - (time < other)),
    "IsZero": ("", lambda time: time.ns == ZERO),
    "UTC": ("", lambda time: Time(time.ns, UTC_LOCATION)),
    "Local": ("", lambda time: Time(time.ns, Location("Local", UTC_LOCATION.zone))),
    "In": ("a", lambda time, location: Time(time.ns, _need(Location, location))),
    "Location": ("", lambda time: time.location),
    "Truncate": ("a", _truncate),
    "Round": ("a", _round),
}
_DURATION: dict[str, tuple[str, Callable[..., Any]]] = {
    "Hours": ("", lambda length: length.ns / HOUR),
    "Minutes": ("", lambda length: length.ns / MINUTE),
    "Seconds": ("", lambda length: length.ns / SECOND),
    "Milliseconds": ("", lambda length: Int64(int(length.ns / 1_000_000))),
    "Microseconds": ("", lambda length: Int64(int(length.ns / 1000))),
    "Nanoseconds": ("", lambda length: Int64(length.ns)),
    "String": ("", str),
    "Abs": ("", lambda length: Duration(abs(length.ns))),
    "Round": ("a", lambda length, unit: length.round(_need(Duration, unit).ns)),
    "Truncate": ("a", lambda length, unit: length.truncate(_need(Duration, unit).ns)),
}
_NAMED: dict[str, tuple[str, Callable[..., Any]]] = {"String": ("", lambda named: _need(NamedInt, named).name)}
_VERSION: dict[str, tuple[str, Callable[..., Any]]] = {
    "Major": ("", lambda version: version.major),
    "Minor": ("", lambda version: version.minor),
    "Patch": ("", lambda version: version.patch),
    "Prerelease": ("", lambda version: version.prerelease),
    "Metadata": ("", lambda version: version.metadata),
    "Original": ("", lambda version: version.original),
    "String": ("", str),
}
_METHODS: dict[str, dict[str, tuple[str, Callable[..., Any]]]] = {
    "time.Time": _TIME,
    "time.Duration": _DURATION,
    "time.Month": _NAMED,
    "time.Weekday": _NAMED,
    "*time.Location": {"String": ("", str)},
    "*semver.Version": _VERSION,
}
