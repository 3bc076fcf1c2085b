"""sprig's functions of dates. The local zone is UTC, as in Argo's image."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from typing import Any

from tiphys.engine.expressions import layouts
from tiphys.engine.expressions.literals import parse_int
from tiphys.engine.expressions.times import (
    HOUR,
    MINUTE,
    SECOND,
    UTC_LOCATION,
    ZERO,
    Duration,
    Time,
    load_location,
    minus,
    plus,
)
from tiphys.engine.expressions.times import parse_duration as parsed
from tiphys.engine.expressions.values import Function, Int64, is_int

_DAY = 24 * HOUR
_STEPS = ((365 * _DAY, "y"), (30 * _DAY, "mo"), (_DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"))


def _now() -> Time:
    return Time(clock.time_ns())


def _moment(value: Any) -> Time:
    if isinstance(value, Time):
        return value
    return Time(int(value) * SECOND) if is_int(value) else _now()


def _in_zone(layout: str, value: Any, zone: str) -> str:
    try:
        location = load_location(zone)
    except ValueError:
        location = UTC_LOCATION
    return layouts.show(Time(_moment(value).ns, location), layout)


def _modified(length: str, time: Time) -> Time:
    try:
        return plus(time, parsed(length))
    except ValueError:
        return time


def _to_date(layout: str, text: str) -> Time:
    try:
        return layouts.parse(layout, text)
    except ValueError:
        return Time(ZERO)


def _duration(seconds: Any) -> str:
    if isinstance(seconds, str):
        try:
            return str(Duration(parse_int(seconds) * SECOND))
        except ValueError:
            return "0s"
    return str(Duration(int(seconds) * SECOND)) if isinstance(seconds, Int64) else "0s"


def _round(value: Any) -> str:
    length = 0
    if isinstance(value, str):
        try:
            length = parsed(value).ns
        except ValueError:
            length = 0
    elif isinstance(value, Int64):
        length = int(value)
    elif isinstance(value, Time):
        length = minus(_now(), value).ns
    for size, unit in _STEPS:
        if abs(length) > size:
            return f"{abs(length) // size}{unit}"
    return "0s"


_CALLS: list[tuple[str, str, Callable[..., Any]]] = [
    ("now", "", _now),
    ("ago", "a", lambda value: str(minus(_now(), _moment(value)).round(SECOND))),
    ("date", "sa", lambda layout, value: _in_zone(layout, value, "Local")),
    ("dateInZone", "sas", _in_zone),
    ("date_in_zone", "sas", _in_zone),
    ("htmlDate", "a", lambda value: _in_zone("2006-01-02", value, "Local")),
    ("htmlDateInZone", "as", lambda value, zone: _in_zone("2006-01-02", value, zone)),
    ("dateModify", "st", _modified),
    ("date_modify", "st", _modified),
    ("mustDateModify", "st", lambda length, time: plus(time, parsed(length))),
    ("must_date_modify", "st", lambda length, time: plus(time, parsed(length))),
    ("toDate", "ss", _to_date),
    ("mustToDate", "ss", layouts.parse),
    ("unixEpoch", "t", lambda time: str(time.ns // SECOND)),
    ("duration", "a", _duration),
    ("durationRound", "a", _round),
]
DATES: dict[str, Function] = {name: Function(call, parameters) for name, parameters, call in _CALLS}
