"""Times, durations and time zones as Go has them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import total_ordering
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tiphys.engine.expressions.values import NamedInt, wrap

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
ZERO = -62_135_596_800 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 1_000_000, "s": SECOND, "m": MINUTE, "h": HOUR}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]+)")


class Location:
    """A time zone."""

    go_type: ClassVar[str] = "*time.Location"

    def __init__(self, name: str, zone: tzinfo) -> None:
        """`name` is the one it was asked for by."""
        self.name, self.zone = name, zone

    def __str__(self) -> str:
        return self.name

    def offset_of_wall(self, wall: datetime) -> int:
        """The offset in seconds of a wall clock's reading."""
        found = wall.replace(tzinfo=self.zone).utcoffset()
        return int(found.total_seconds()) if found else 0


UTC_LOCATION = Location("UTC", UTC)


def fixed_location(name: str, offset: int) -> Location:
    """A zone that is always `offset` seconds ahead."""
    return Location(name, timezone(timedelta(seconds=offset), name) if name else timezone(timedelta(seconds=offset)))


def load_location(name: str) -> Location:
    """The zone called `name`. Raises ValueError."""
    if name in ("", "UTC", "Local"):
        return UTC_LOCATION if name != "Local" else Location("Local", UTC)
    try:
        return Location(name, ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"unknown time zone {name}"
        raise ValueError(msg) from None


@total_ordering
class Duration:
    """A length of time in nanoseconds."""

    go_type: ClassVar[str] = "time.Duration"

    def __init__(self, ns: int) -> None:
        """`ns` wraps at 64 bits."""
        self.ns = wrap(ns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.ns == other.ns

    def __lt__(self, other: Duration) -> bool:
        return self.ns < other.ns

    def __hash__(self) -> int:
        return hash(self.ns)

    def __str__(self) -> str:
        size, sign = abs(self.ns), "-" if self.ns < 0 else ""
        if size == 0:
            return "0s"
        if size < SECOND:
            unit, scale = ("ns", 1) if size < 1000 else ("µs", 1000) if size < 1_000_000 else ("ms", 1_000_000)  # noqa: PLR2004
            return sign + _decimal(size, scale) + unit
        text = _decimal(size % MINUTE, SECOND) + "s"
        if size >= MINUTE:
            text = f"{size % HOUR // MINUTE}m" + text
        return sign + (f"{size // HOUR}h" if size >= HOUR else "") + text

    def round(self, unit: int) -> Duration:
        """To a multiple of `unit` ns, halves away from zero."""
        if unit <= 0:
            return self
        rest = abs(self.ns) % unit
        size = abs(self.ns) - rest + (unit if rest * 2 >= unit else 0)
        return Duration(size if self.ns >= 0 else -size)

    def truncate(self, unit: int) -> Duration:
        """To a multiple of `unit` ns, towards zero."""
        if unit <= 0:
            return self
        size = abs(self.ns) // unit * unit
        return Duration(size if self.ns >= 0 else -size)


def _decimal(number: int, scale: int) -> str:
    whole, rest = divmod(number, scale)
    digits = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0") if scale > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_duration(text: str) -> Duration:
    """`text` such as `1h30m`. Raises ValueError."""
    rest, sign = text, 1
    if rest[:1] in ("-", "+"):
        sign, rest = -1 if rest[0] == "-" else 1, rest[1:]
    if rest == "0":
        return Duration(0)
    total, at = 0, 0
    while at < len(rest):
        found = _PART.match(rest, at)
        if found is None or not (found[1] or found[2]) or found[3] not in _UNITS:
            break
        total += int(found[1] or 0) * _UNITS[found[3]]
        if found[2]:
            total += int(found[2]) * _UNITS[found[3]] // 10 ** len(found[2])
        at = found.end()
    if not rest or at < len(rest) or total > (1 << 63) - (sign > 0):
        msg = f'time: invalid duration "{text}"'
        raise ValueError(msg)
    return Duration(sign * total)


@total_ordering
class Time:
    """A moment, in nanoseconds since 1970, seen from a zone."""

    go_type: ClassVar[str] = "time.Time"

    def __init__(self, ns: int, location: Location = UTC_LOCATION) -> None:
        """`ns` may be any number; only years 1 to 9999 can be shown."""
        self.ns, self.location = ns, location

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self.ns == other.ns

    def __lt__(self, other: Time) -> bool:
        return self.ns < other.ns

    def __hash__(self) -> int:
        return hash(self.ns)

    @property
    def shift(self) -> int:
        """How many years later `civil` is: Python has no year 0, and the calendar repeats after 400."""
        return 400 if self.ns < ZERO + 2 * 24 * HOUR else 0

    def civil(self) -> tuple[datetime, int, str]:
        """The wall clock there, its offset in seconds, and the zone's short name."""
        seconds_since = self.ns // SECOND + (146_097 * 86_400 if self.shift else 0)
        moment = (_EPOCH + timedelta(seconds=seconds_since)).astimezone(self.location.zone)
        offset = moment.utcoffset() or timedelta()
        seconds = int(offset.total_seconds())
        name = moment.tzname() or ""
        if name.startswith("UTC") and name != "UTC":
            sign, size = "-" if seconds < 0 else "+", abs(seconds)
            name = f"{sign}{size // 3600:02d}" + (f"{size // 60 % 60:02d}" if size % 3600 else "")
            if isinstance(self.location.zone, timezone):
                name = f"{sign}{size // 3600:02d}{size // 60 % 60:02d}"
        return moment.replace(tzinfo=None), seconds, name

    def __str__(self) -> str:
        from tiphys.engine.expressions.layouts import show  # noqa: PLC0415

        return show(self, "2006-01-02 15:04:05.999999999 -0700 MST")

    def json(self) -> str:
        """The form in JSON, without quotes."""
        from tiphys.engine.expressions.layouts import show  # noqa: PLC0415

        return show(self, "2006-01-02T15:04:05.999999999Z07:00")


def plus(time: Time, duration: Duration) -> Time:
    """`duration` later."""
    return Time(time.ns + duration.ns, time.location)


def minus(time: Time, other: Time) -> Duration:
    """From `other` to `time`; what does not fit 64 bits is the largest or smallest duration."""
    return Duration(max(-(1 << 63), min((1 << 63) - 1, time.ns - other.ns)))


def month(number: int) -> NamedInt:
    """A month of the year, from 1."""
    return NamedInt("time.Month", number, MONTHS[number - 1])


def weekday(number: int) -> NamedInt:
    """A day of the week, from Sunday, 0."""
    return NamedInt("time.Weekday", number, WEEKDAYS[number])
