"""The prediction log: one line of JSON for each answer, and one for each outcome that is fed back.

Made by hand where that is safe (numbers, and names that were checked), because one is made for every answer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic_core import to_json

if TYPE_CHECKING:
    from tiphys.serving.gateway.spool import Spool
    from tiphys.serving.gateway.tensors import Reading

_RANDOM_BYTES = 8192
_ID_DIGITS = 18


class Ids:
    """Names of predictions: a UUID of version 7 (RFC 9562) as 32 hex digits, so they sort by time; hard to guess."""

    def __init__(self) -> None:
        """Have nothing in stock."""
        self._stock = ""
        self._at = 0

    def new(self, wall: float) -> str:
        """Make one at a time in seconds since 1970."""
        at = self._at
        if at + _ID_DIGITS > len(self._stock):
            self._stock, at = os.urandom(_RANDOM_BYTES).hex(), 0
        self._at = at + _ID_DIGITS
        stock = self._stock
        return (
            f"{int(wall * 1000):012x}7{stock[at : at + 3]}{'89ab'[int(stock[at + 3], 16) & 3]}{stock[at + 3 : at + 18]}"
        )


class Clock:
    """The wall clock as ISO 8601 in UTC with milliseconds, and the day; formatted once a second."""

    def __init__(self) -> None:
        """Know no second yet."""
        self._second = -1
        self._text = ""
        self.day = ""

    def text(self, wall: float) -> str:
        """``2026-11-22T06:00:00.123Z``; ``day`` is then of that moment."""
        second = int(wall)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self.day = self._text[:10]
        return f"{self._text}.{int(wall * 1000) % 1000:03d}Z"


class Predictions:
    """Writes one use case's lines."""

    def __init__(self, spool: Spool, use_case: str) -> None:
        """Write to ``spool`` for ``use_case``."""
        self._spool = spool
        self._use_case = use_case
        self._clock = Clock()
        self._day = ""
        self._topics = ("", "")

    def answered(  # noqa: PLR0913 - they are the line
        self, identity: str, *, arm: str, version: str, asker: str | None, latency_ms: float, wall: float,
        features: Mapping[str, int | float], reading: Reading, shadow: bool = False,
    ) -> None:  # fmt: skip
        """Log an answer; names are of the alphabets that were checked when they were read. Without an asker nothing is."""
        if asker is None:
            return
        at = self._clock.text(wall)
        if self._day != self._clock.day:
            self._turn()
        value, low, high = reading
        source = "status_quo" if arm == "status_quo" else "model"
        line = (
            f'{{"prediction_id":"{identity}","at":"{at}","use_case":"{self._use_case}","arm":"{arm}",'
            f'"model_version":"{version}","source":"{source}","asker":"{asker}","latency_ms":{latency_ms:.3f},"features":'
        )
        ends = f',"value":{value!r},"low":{_number(low)},"high":{_number(high)}{_SHADOW if shadow else ""}}}\n'
        self._spool.write(self._topics[0], b"".join((line.encode(), to_json(features), ends.encode())))

    def fed_back(  # noqa: PLR0913 - they are the line
        self, identity: str, *, at: str | None, actual: float, asker: str | None, wall: float,
        facts: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """Log an outcome: ``at`` is when it became known, as the asker says, or None; nothing of it is judged here.

        Without an asker nothing is logged.
        """
        if asker is None:
            return
        received = self._clock.text(wall)
        if self._day != self._clock.day:
            self._turn()
        content = {
            "prediction_id": identity, "at": at, "actual": actual, "asker": asker, "received_at": received,
            **({"facts": facts} if facts else {}),
        }  # fmt: skip
        self._spool.write(self._topics[1], to_json(content) + b"\n")

    def _turn(self) -> None:
        self._day = self._clock.day
        self._topics = (
            f"predictions/{self._use_case}/date={self._day}",
            f"feedback/{self._use_case}/date={self._day}",
        )


_SHADOW = ',"shadow":true'


def _number(value: float | None) -> str:
    return "null" if value is None else repr(value)
