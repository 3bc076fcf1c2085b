"""Schedules as texts: five fields, `@daily`, `@every 1h30m`, with `CRON_TZ=`; read and followed as robfig/cron v3 does.

Argo uses that library. What a clock change does to a schedule follows from how it walks through the calendar (month, day,
hour, minute, each in turn) and from how Go reads a wall clock's time that does not exist, so both are done in the same
way here. All moments are whole seconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Protocol

from tiphys.engine.expressions.times import SECOND, load_location, parse_duration

_STAR = 1 << 63
_NUMBER = re.compile(r"[+-]?[0-9]+")
_YEARS = 5
_HOUR = 3600
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_NOON = 12
_DECEMBER = 12


class ScheduleError(ValueError):
    """The text is no schedule; in robfig's words."""


class Schedule(Protocol):
    """Moments on the time line."""

    def next(self, after: float) -> int | None:
        """The first moment later than `after`; None if there is none in the next five years."""

    def latest(self, after: float, until: float) -> int | None:
        """The last moment later than `after` and not later than `until`."""


@dataclass(frozen=True)
class _Bounds:
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)


_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MINUTES, _HOURS, _DAYS = _Bounds(0, 59), _Bounds(0, 23), _Bounds(1, 31)
_MONTHS = _Bounds(1, 12, {name: at + 1 for at, name in enumerate(_MONTH_NAMES)})
_WEEKDAYS = _Bounds(0, 6, {name: at for at, name in enumerate(_WEEKDAY_NAMES)})
_FIELDS = (_MINUTES, _HOURS, _DAYS, _MONTHS, _WEEKDAYS)
_NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip


def parse_schedule(text: str, local: tzinfo = UTC) -> Schedule:
    """The schedule that `text` describes; without a zone of its own it is read in `local`. Raises ScheduleError."""
    if not text:
        msg = "empty spec string"
        raise ScheduleError(msg)
    zone = local
    if text.startswith(("TZ=", "CRON_TZ=")):
        name, _, text = text.partition("=")[2].partition(" ")
        zone, text = _zone(name, local), text.strip()
    if text.startswith("@every "):
        return _every(text)
    if text.startswith("@"):
        if text not in _NAMED:
            msg = f"unrecognized descriptor: {text}"
            raise ScheduleError(msg)
        text = _NAMED[text]
    return _calendar(text.split(), zone)


def _zone(name: str, local: tzinfo) -> tzinfo:
    if name == "Local":
        return local
    try:
        return load_location(name).zone
    except ValueError as error:
        msg = f"provided bad location {name}: {error}"
        raise ScheduleError(msg) from None


def _every(text: str) -> Every:
    try:
        length = parse_duration(text.removeprefix("@every ")).ns
    except ValueError as error:
        msg = f"failed to parse duration {text}: {error}"
        raise ScheduleError(msg) from None
    return Every(max(length, SECOND) // SECOND)


def _calendar(words: list[str], zone: tzinfo) -> Calendar:
    if len(words) != len(_FIELDS):
        msg = f"expected exactly {len(_FIELDS)} fields, found {len(words)}: [{' '.join(words)}]"
        raise ScheduleError(msg)
    minutes, hours, days, months, weekdays = (_bits(word, bounds) for word, bounds in zip(words, _FIELDS, strict=True))
    return Calendar(minutes, hours, days, months, weekdays, zone)


def _bits(word: str, bounds: _Bounds) -> int:
    """The values of a field as bits, and _STAR where any value will do."""
    bits = 0
    for part in filter(None, word.split(",")):
        bits |= _range(part, bounds)
    return bits


def _range(part: str, bounds: _Bounds) -> int:
    interval, *steps = part.split("/")
    first, *rest = interval.split("-")
    star = first in ("*", "?")
    if star:
        low, high = bounds.low, bounds.high
    else:
        low = high = _value(first, bounds)
        if len(rest) > 1:
            msg = f"too many hyphens: {part}"
            raise ScheduleError(msg)
        if rest:
            high = _value(rest[0], bounds)
    if len(steps) > 1:
        msg = f"too many slashes: {part}"
        raise ScheduleError(msg)
    step = _number(steps[0]) if steps else 1
    if steps and not rest:
        high = bounds.high
    _check_range(part, (low, high, step), bounds)
    return sum(1 << value for value in range(low, high + 1, step)) | (_STAR if star and step == 1 else 0)


def _check_range(part: str, given: tuple[int, int, int], bounds: _Bounds) -> None:
    low, high, step = given
    problem = ""
    if low < bounds.low:
        problem = f"beginning of range ({low}) below minimum ({bounds.low})"
    elif high > bounds.high:
        problem = f"end of range ({high}) above maximum ({bounds.high})"
    elif low > high:
        problem = f"beginning of range ({low}) beyond end of range ({high})"
    elif step == 0:
        problem = "step of range should be a positive number"
    if problem:
        msg = f"{problem}: {part}"
        raise ScheduleError(msg)


def _value(text: str, bounds: _Bounds) -> int:
    named = bounds.names.get(text.lower())
    return _number(text) if named is None else named


def _number(text: str) -> int:
    reason = "" if _NUMBER.fullmatch(text) else "invalid syntax"
    if not reason and not -(1 << 63) <= int(text) < 1 << 63:
        reason = "value out of range"
    if reason:
        msg = f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": {reason}'
        raise ScheduleError(msg)
    if int(text) < 0:
        msg = f"negative number ({int(text)}) not allowed: {text}"
        raise ScheduleError(msg)
    return int(text)


@dataclass(frozen=True)
class Every:
    """A moment every `seconds`, counted from wherever one looks."""

    seconds: int

    def next(self, after: float) -> int | None:
        """`seconds` later."""
        return int(after // 1) + self.seconds

    def latest(self, after: float, until: float) -> int | None:
        """The last of the moments that follow on `after`."""
        count = int(until // 1 - after // 1) // self.seconds
        return int(after // 1) + count * self.seconds if count > 0 else None


@dataclass(frozen=True)
class Calendar:
    """The moments whose wall clock in `zone` fits five fields, each a set of bits."""

    minutes: int
    hours: int
    days: int
    months: int
    weekdays: int
    zone: tzinfo

    def next(self, after: float) -> int | None:
        """The first moment later than `after`; None if there is none in the next five years."""
        if not all((self.minutes, self.hours, self.months, self.days | self.weekdays)):
            return None
        walk = _Walk(int(after // 1) + 1, self.zone)
        limit = walk.wall.year + _YEARS
        while walk.wall.year <= limit:
            if self._month(walk) and self._day(walk) and self._hour(walk) and self._minute(walk):
                return walk.moment
        return None

    def _month(self, walk: _Walk) -> bool:
        while not self.months >> walk.wall.month & 1:
            walk.begin(walk.wall.year, walk.wall.month, 1)
            walk.to_date(walk.wall.year, walk.wall.month + 1, walk.wall.day, walk.wall)
            if walk.wall.month == 1:
                return False
        return True

    def _day(self, walk: _Walk) -> bool:
        while not self._is_day(walk.wall):
            walk.begin(walk.wall.year, walk.wall.month, walk.wall.day)
            walk.to_date(walk.wall.year, walk.wall.month, walk.wall.day + 1, walk.wall)
            hour = walk.wall.hour  # not 0 where the clock jumps over midnight
            if hour:
                walk.add((24 - hour if hour > _NOON else -hour) * _HOUR)
            if walk.wall.day == 1:
                return False
        return True

    def _is_day(self, wall: datetime) -> bool:
        """With a star in either of the two fields both must fit, else one is enough."""
        by_date, by_week = bool(self.days >> wall.day & 1), bool(self.weekdays >> wall.isoweekday() % 7 & 1)
        return by_date and by_week if (self.days | self.weekdays) & _STAR else by_date or by_week

    def _hour(self, walk: _Walk) -> bool:
        while not self.hours >> walk.wall.hour & 1:
            walk.begin(walk.wall.year, walk.wall.month, walk.wall.day, walk.wall.hour)
            walk.add(_HOUR)
            if walk.wall.hour == 0:
                return False
        return True

    def _minute(self, walk: _Walk) -> bool:
        while not self.minutes >> walk.wall.minute & 1:
            walk.truncate()
            walk.add(60)
            if walk.wall.minute == 0:
                return False
        return walk.at_second_zero()

    def latest(self, after: float, until: float) -> int | None:
        """The last moment later than `after` and not later than `until`: found by halving, for there may be millions."""
        found = self.next(after)
        if found is None or found > until:
            return None
        low, high = found, int(until // 1)
        while low < high:
            middle = (low + high) // 2
            following = self.next(middle)
            if following is not None and following <= until:
                found = low = following
            else:
                high = middle
        return found


class _Walk:
    """A moment that goes forward; `wall` is what a clock in the zone shows then."""

    def __init__(self, moment: int, zone: tzinfo) -> None:
        self._zone = zone
        self._begun = False
        self._set(moment)

    def _set(self, moment: int) -> None:
        self.moment = moment
        self.wall = datetime.fromtimestamp(moment, self._zone)

    def begin(self, year: int, month: int, day: int, hour: int = 0) -> None:
        """Go to the beginning of a month, day or hour, unless some part has been counted up before."""
        if not self._begun:
            self._begun = True
            self._set(self._moment_of(year, month, day, hour * _HOUR))

    def truncate(self) -> None:
        """Go to the beginning of the minute, unless some part has been counted up before."""
        if not self._begun:
            self._begun = True
            self._set(self.moment // 60 * 60)

    def add(self, seconds: int) -> None:
        """Go forward."""
        self._set(self.moment + seconds)

    def to_date(self, year: int, month: int, day: int, time: datetime) -> None:
        """Go to that date at the same time of day; a day or a month too many counts over."""
        self._set(self._moment_of(year, month, day, time.hour * _HOUR + time.minute * 60 + time.second))

    def _moment_of(self, year: int, month: int, day: int, seconds: int) -> int:
        """When a wall clock shows that; where it never does, what Go's time.Date gives."""
        first = date(year + (month - 1) // _DECEMBER, (month - 1) % _DECEMBER + 1, 1)
        local = (first.toordinal() - _EPOCH_DAY + day - 1) * 24 * _HOUR + seconds
        offset = self._offset(local)
        return local - self._offset(local - offset) if offset else local

    def _offset(self, moment: int) -> int:
        return int((datetime.fromtimestamp(moment, self._zone).utcoffset() or timedelta()).total_seconds())

    def at_second_zero(self) -> bool:
        """Go on to the next full minute, if this is none; False if that is past the hour's end."""
        if not self.wall.second:
            return True
        self._begun = True
        while self.wall.second:  # again where the zone's offset changes on the way
            self.add(60 - self.wall.second)
        return False
