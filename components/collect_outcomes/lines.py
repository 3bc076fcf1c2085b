"""From landed objects to rows: every line is read, or refused with its reason. Plain Python; knows no Spark, no use case.

An object is a gzip file of JSON lines, as the gateway's spool lands them. A row is a dictionary by the columns of the live
tables; ``reason`` is None for a line that could be read, and ``raw`` is then None, too.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MAX_OBJECT = 64 << 20
"""Bytes that an object may unpack to: the spool closes a segment at 4 MiB."""
MAX_RAW = 4096
"""Characters of a refused line that are kept."""
MAX_FACTS = 16

_ID = re.compile(r"[0-9a-f]{32}(-\d{1,6})?")
_FACT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DAY = re.compile(r"date=(\d{4}-\d{2}-\d{2})/")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the tables' times are UTC without a zone
_LAST = datetime(2200, 1, 1)  # noqa: DTZ001

Row = dict[str, Any]


class RefusedError(ValueError):
    """A line that cannot be read; its text is the reason."""


@dataclass(frozen=True)
class Shape:
    """What a line must look like for a use case."""

    features: Mapping[str, str]
    """Feature -> int64 or float32."""
    moment: str
    """Feature with the question's moment, seconds since 1970; empty: when it was answered."""
    optional: str = ""
    """Feature that the gateway puts in: a log of before it was served lacks it."""

    def prediction(self, line: Mapping[str, Any]) -> Row:
        """Read a line of the log of answers."""
        at = _time(line, "at")
        features = self._features(line.get("features"))
        moment = features.get(self.moment)
        return {
            "prediction_id": _identity(line),
            "at": at,
            "moment": at if moment is None else _since_1970(moment, self.moment),
            "arm": _text(line, "arm"),
            "model_version": _text(line, "model_version"),
            "source": _text(line, "source"),
            "asker": _text(line, "asker"),
            "latency_ms": _number(line, "latency_ms"),
            "features": features,
            "value": _number(line, "value"),
            "low": None if line.get("low") is None else _number(line, "low"),
            "high": None if line.get("high") is None else _number(line, "high"),
            "shadow": line.get("shadow", False) is True,
        }

    def outcome(self, line: Mapping[str, Any]) -> Row:
        """Read a line of the log of outcomes."""
        return {
            "prediction_id": _identity(line),
            "at": None if line.get("at") is None else _time(line, "at"),
            "actual": _number(line, "actual"),
            "facts": _facts(line.get("facts")),
            "asker": _text(line, "asker"),
            "received_at": _time(line, "received_at"),
        }

    def _features(self, given: Any) -> dict[str, int | float | None]:
        if not isinstance(given, dict):
            raise RefusedError("no features")
        found: dict[str, int | float | None] = {}
        for name, dtype in self.features.items():
            if name == self.optional and given.get(name) is None:
                found[name] = None
                continue
            value = _number(given, name)
            if dtype == "int64" and (value != int(value) or abs(value) >= 2**63):
                raise RefusedError(f"feature {name} is no whole number")
            found[name] = int(given[name]) if dtype == "int64" else value
        return found


def read(origin: str, content: bytes, topic: str, shape: Shape) -> Iterator[Row]:
    """Read an object; every line that is not blank becomes one row, and damage to the object itself one more.

    Args:
        origin: the object's name below its topic, like ``date=2026-11-22/GATEWAY-00000001.ndjson.gz``.
        content: its bytes.
        topic: ``predictions`` or ``feedback``.
        shape: what lines look like.
    """
    text, damage = _unpacked(content)
    take = shape.prediction if topic == "predictions" else shape.outcome
    number = 0
    for number, line in enumerate(text.split(b"\n"), 1):
        if line.strip():
            yield {**_read_line(line, take, origin), "origin": origin, "line": number}
    if damage:
        yield {**_refused(damage, "", origin), "origin": origin, "line": number + 1}


def _read_line(line: bytes, take: Callable[[Row], Row], origin: str) -> Row:
    try:
        return {**take(_object(line)), "reason": None, "raw": None}
    except RefusedError as refused:
        return _refused(str(refused), line, origin)
    except UnicodeDecodeError:
        return _refused("not UTF-8", line, origin)
    except (ValueError, RecursionError):
        return _refused("no JSON", line, origin)


def _object(line: bytes) -> dict[str, Any]:
    found = json.loads(line.decode(), parse_constant=_no_constant)
    if not isinstance(found, dict):
        raise RefusedError("no JSON object")
    return found


def _refused(reason: str, line: bytes | str, origin: str) -> Row:
    raw = line.decode("utf-8", "backslashreplace") if isinstance(line, bytes) else line
    day = _DAY.search(origin)
    landed = datetime.fromisoformat(day[1]) if day else _EPOCH
    return {"reason": reason, "raw": raw[:MAX_RAW], "received_at": landed}


def _unpacked(content: bytes) -> tuple[bytes, str]:
    """Whole lines that an object holds, and what is wrong with it as a whole."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        text = unpack.decompress(content, MAX_OBJECT)
    except zlib.error:
        return b"", "the object is no gzip file"
    if unpack.unconsumed_tail:
        return b"", f"the object unpacks to more than {MAX_OBJECT} bytes"
    if not unpack.eof:
        return text[: text.rfind(b"\n") + 1], "the object is cut off"
    return text, ""


def _identity(line: Mapping[str, Any]) -> str:
    found = line.get("prediction_id")
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise RefusedError("no prediction_id")
    return found


def _text(line: Mapping[str, Any], name: str) -> str:
    found = line.get(name)
    if not isinstance(found, str):
        raise RefusedError(f"no {name}")
    return found


def _number(line: Mapping[str, Any], name: str) -> float:
    found = line.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise RefusedError(f"no number {name}")
    try:
        value = float(found)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise RefusedError(f"{name} is not finite")
    return value


def _time(line: Mapping[str, Any], name: str) -> datetime:
    text = _text(line, name)
    try:
        found = datetime.fromisoformat(text)
        found = found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        raise RefusedError(f"{name} is no time") from None
    return _within(found, name)


def _since_1970(seconds: float, name: str) -> datetime:
    try:
        found = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        raise RefusedError(f"{name} is no time") from None
    return _within(found, name)


def _within(found: datetime, name: str) -> datetime:
    if not _EPOCH <= found < _LAST:
        raise RefusedError(f"{name} is not within 1970..2199")
    return found


def _facts(given: Any) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > MAX_FACTS:
        raise RefusedError(f"facts are no object of at most {MAX_FACTS} numbers")
    if any(not _FACT.fullmatch(name) for name in given):
        raise RefusedError("a fact has no proper name")
    return {name: _number(given, name) for name in given}


def _no_constant(name: str) -> float:
    raise RefusedError(f"{name} is no number")
