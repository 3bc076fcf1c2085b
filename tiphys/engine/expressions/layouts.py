"""Times as texts: Go's layouts, in which `2006-01-02 15:04:05` shows the form."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tiphys.engine.expressions.times import MONTHS, SECOND, UTC_LOCATION, WEEKDAYS, Location, Time, fixed_location

_CHUNK = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|__2|_2006|_2|002|01|02|03|04|05|06|15|PM|pm"
    r"|Z070000|Z07:00:00|Z0700|Z07:00|Z07|-070000|-07:00:00|-0700|-07:00|-07|[.,](?:0+|9+)(?![0-9])|1|2|3|4|5",
)


def split(layout: str) -> list[str]:
    """`layout` in pieces; every second one is a chunk with a meaning."""
    pieces, at = [""], 0
    while (found := _CHUNK.search(layout, at)) is not None:
        pieces[-1] += layout[at : found.start()]
        chunk = found.group()
        if chunk == "_2006":
            pieces[-1] += "_"
            chunk = "2006"
        pieces += [chunk, ""]
        at = found.end()
    pieces[-1] += layout[at:]
    return pieces


def show(time: Time, layout: str) -> str:
    """`time` in the form of `layout`."""
    pieces = split(layout)
    local, offset, zone = time.civil()
    for index in range(1, len(pieces), 2):
        pieces[index] = _shown(pieces[index], time, local, offset, zone)
    return "".join(pieces)


def _shown(chunk: str, time: Time, local: datetime, offset: int, zone: str) -> str:
    if chunk[0] in "Z-" and chunk[1:2] == "0":
        return "Z" if chunk[0] == "Z" and offset == 0 else _offset(chunk, offset)
    if chunk[0] in ".,":
        digits = f"{time.ns % SECOND:09d}"[: len(chunk) - 1]
        digits = digits.rstrip("0") if chunk[1] == "9" else digits
        return chunk[0] + digits if digits else ""
    hour = local.hour % 12 or 12
    forms: dict[str, Any] = {
        "January": MONTHS[local.month - 1],
        "Jan": MONTHS[local.month - 1][:3],
        "Monday": WEEKDAYS[local.isoweekday() % 7],
        "Mon": WEEKDAYS[local.isoweekday() % 7][:3],
        "MST": zone,
        "2006": f"{local.year - time.shift:04d}",
        "06": f"{local.year % 100:02d}",
        "1": local.month,
        "01": f"{local.month:02d}",
        "2": local.day,
        "_2": f"{local.day:2d}",
        "02": f"{local.day:02d}",
        "__2": f"{local.timetuple().tm_yday:3d}",
        "002": f"{local.timetuple().tm_yday:03d}",
        "15": f"{local.hour:02d}",
        "3": hour,
        "03": f"{hour:02d}",
        "4": local.minute,
        "04": f"{local.minute:02d}",
        "5": local.second,
        "05": f"{local.second:02d}",
        "PM": "PM" if local.hour >= 12 else "AM",  # noqa: PLR2004
        "pm": "pm" if local.hour >= 12 else "am",  # noqa: PLR2004
    }
    return str(forms[chunk])


def _offset(chunk: str, offset: int) -> str:
    sign, size = "-" if offset < 0 else "+", abs(offset)
    parts = [f"{size // 3600:02d}", f"{size // 60 % 60:02d}", f"{size % 60:02d}"]
    count = {2: 1, 4: 2, 6: 3}[len(chunk[1:].replace(":", ""))]
    return sign + (":" if ":" in chunk else "").join(parts[:count])


_NUMBERS = {
    "2006": ("year", r"\d{4}"), "06": ("short", r"\d{2}"), "1": ("month", r"\d{1,2}"), "01": ("month", r"\d{2}"),
    "2": ("day", r"\d{1,2}"), "02": ("day", r"\d{2}"), "_2": ("day", r" ?\d{1,2}"), "002": ("yday", r"\d{3}"),
    "__2": ("yday", r" {0,2}\d{1,3}"), "15": ("hour", r"\d{2}"), "3": ("twelve", r"\d{1,2}"), "03": ("twelve", r"\d{2}"),
    "4": ("minute", r"\d{1,2}"), "04": ("minute", r"\d{2}"), "5": ("second", r"\d{1,2}"), "05": ("second", r"\d{2}"),
}  # fmt: skip
_WORDS: dict[str, tuple[str, list[str]]] = {
    "January": ("month", MONTHS),
    "Jan": ("month", [name[:3] for name in MONTHS]),
    "Monday": ("weekday", WEEKDAYS),
    "Mon": ("weekday", [name[:3] for name in WEEKDAYS]),
    "PM": ("half", ["AM", "PM"]),
    "pm": ("half", ["am", "pm"]),
}
_ZONE = re.compile(r"ChST|MeST|GMT(?:[+-]\d{1,2})?|[+-]\d{2}(?:\d{2})?|[A-Z]{5}(?<=T)|[A-Z]{4}(?<=[T])|WITA|[A-Z]{3}")


def parse(layout: str, text: str, location: Location = UTC_LOCATION) -> Time:
    """The time that `text` says in the form of `layout`, in `location` where it names no zone. Raises ValueError."""
    return _Parsing(text).whole(split(layout), location)


class _Parsing:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[str, int] = {}
        self._offset: int | None = None
        self._zone = ""

    def _fail(self) -> ValueError:
        return ValueError(f'parsing time "{self._text}": cannot parse "{self._text[self._at :]}"')

    def _take(self, pattern: str) -> str:
        found = re.compile(pattern, re.ASCII | re.IGNORECASE).match(self._text, self._at)
        if found is None:
            raise self._fail()
        self._at = found.end()
        return found.group()

    def whole(self, pieces: list[str], location: Location) -> Time:
        self._literal(pieces[0])
        for index in range(1, len(pieces), 2):
            self._chunk(pieces[index], pieces[index + 2] if index + 2 < len(pieces) else "")
            self._literal(pieces[index + 1])
        if self._at < len(self._text):
            raise self._fail()
        return self._made(location)

    def _literal(self, text: str) -> None:
        for part in re.findall(r" +|[^ ]+", text):
            if part[0] == " ":
                self._take(" *" if self._at == len(self._text) else " +" if self._text[self._at] == " " else "(?!)")
            elif self._text.startswith(part, self._at):
                self._at += len(part)
            else:
                raise self._fail()

    def _chunk(self, chunk: str, following: str) -> None:
        if chunk in _NUMBERS:
            name, pattern = _NUMBERS[chunk]
            self._found[name] = int(self._take(pattern))
            if name == "second" and not (following and following[0] in ".,"):
                self._fraction()
        elif chunk in _WORDS:
            name, words = _WORDS[chunk]
            taken = self._take("|".join(words)).lower()
            self._found[name] = [word.lower() for word in words].index(taken)
            if name == "month":
                self._found[name] += 1
        elif chunk == "MST":
            self._named_zone()
        elif chunk[0] in ".,":
            self._exact_fraction(chunk)
        else:
            self._numeric_zone(chunk)

    def _fraction(self) -> None:
        """A fraction may follow the seconds even where the layout has none."""
        found = re.compile(r"[.,](\d+)", re.ASCII).match(self._text, self._at)
        if found is not None:
            self._at = found.end()
            self._found["ns"] = int(found[1][:9].ljust(9, "0"))

    def _exact_fraction(self, chunk: str) -> None:
        if chunk[1] == "9":
            self._fraction()
            return
        digits = self._take(rf"[.,]\d{{{len(chunk) - 1}}}")[1:]
        self._found["ns"] = int(digits[:9].ljust(9, "0"))

    def _named_zone(self) -> None:
        if self._text.startswith("UTC", self._at):
            self._at += 3
            self._offset = 0
            return
        found = _ZONE.match(self._text, self._at)
        if found is None:
            raise self._fail()
        self._at, self._zone = found.end(), found.group()

    def _numeric_zone(self, chunk: str) -> None:
        if chunk[0] == "Z" and self._text.startswith("Z", self._at):
            self._at += 1
            self._offset = 0
            return
        colon = ":" if ":" in chunk else ""
        count = {2: 1, 4: 2, 6: 3}[len(chunk[1:].replace(":", ""))]
        taken = self._take("[+-]" + colon.join([r"\d{2}"] * count))
        parts = [int(taken[1:].replace(":", "")[at : at + 2]) for at in range(0, count * 2, 2)] + [0, 0]
        if parts[0] > 24 or parts[1] > 59 or parts[2] > 59:  # noqa: PLR2004
            raise self._fail()
        self._offset = (parts[0] * 3600 + parts[1] * 60 + parts[2]) * (-1 if taken[0] == "-" else 1)

    def _made(self, location: Location) -> Time:
        found = self._found
        year = found.get("year", 0)
        if "short" in found:
            year = found["short"] + (1900 if found["short"] >= 69 else 2000)  # noqa: PLR2004
        hour = found.get("hour", 0)
        if "twelve" in found:
            hour = found["twelve"]
            if hour > 12:  # noqa: PLR2004
                raise self._fail()
        if "half" in found:
            hour = hour % 12 + 12 * found["half"] if hour <= 12 else hour  # noqa: PLR2004
        day = found.get("day", 1)
        if "yday" in found and "day" not in found:
            whole = datetime(year or 4, 1, 1, tzinfo=UTC) + timedelta(days=found["yday"] - 1)
            found["month"], day = whole.month, whole.day
        return civil_time(
            (year, found.get("month", 1), day, hour, found.get("minute", 0), found.get("second", 0)),
            found.get("ns", 0),
            self._location(location),
        )

    def _location(self, location: Location) -> Location:
        if self._offset == 0:
            return UTC_LOCATION
        if self._offset is not None:
            return fixed_location("", self._offset)
        if self._zone and self._zone != "UTC":
            return fixed_location(self._zone, 0)
        return location


def civil_time(fields: tuple[int, ...], ns: int, location: Location) -> Time:
    """The time of year, month, day, hour, minute and second in `location`. Raises ValueError."""
    year, rest = fields[0], fields[1:]
    shift = 0
    if year == 0:  # Python has no year 0; a cycle of 400 years later the calendar is the same
        year, shift = 400, -146_097 * 86_400
    moment: Callable[..., datetime] = datetime
    wall = moment(year, *rest, tzinfo=UTC)
    seconds = int((wall - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return Time((seconds - location.offset_of_wall(wall.replace(tzinfo=None)) + shift) * SECOND + ns, location)
