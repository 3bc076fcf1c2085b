"""Every line of a landed object becomes one row: read, or refused with its reason."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.collect_outcomes import lines
from components.collect_outcomes.lines import Shape, read

pytestmark = pytest.mark.unit

SHAPE = Shape({"zone": "int64", "time": "int64", "litres": "float32"}, "time")
ORIGIN = "date=2026-11-20/gateway-00000001.ndjson.gz"
IDENTITY = "0193a5b7c1d2700080009f3c6a7b8c9d"
FEATURES = {"zone": 161, "time": 1561968000, "litres": 1}
PREDICTION = {
    "prediction_id": IDENTITY, "at": "2026-11-20T06:00:00.123Z", "use_case": "x", "arm": "production",
    "model_version": "7", "source": "model", "asker": "rider", "latency_ms": 3.125, "features": FEATURES,
    "value": 600.0, "low": None, "high": 900.0,
}  # fmt: skip
OUTCOME = {
    "prediction_id": IDENTITY, "at": "2026-11-20T08:00:00+02:00", "actual": 660, "asker": "rider",
    "received_at": "2026-11-20T06:00:01.000Z",
}  # fmt: skip


def rows(topic: str, *given: Any, content: bytes | None = None) -> list[dict[str, Any]]:
    """Rows of an object of these lines."""
    text = b"\n".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in given) + b"\n"
    return list(read(ORIGIN, content or gzip.compress(text, mtime=0), topic, SHAPE))


def test_a_prediction_is_read() -> None:
    """Its moment is the feature's; whole and broken numbers have the features' types; times are UTC."""
    (row,) = rows("predictions", PREDICTION)
    assert row["reason"] is None
    assert (row["origin"], row["line"]) == (ORIGIN, 1)
    assert row["at"] == datetime(2026, 11, 20, 6, 0, 0, 123000)  # noqa: DTZ001 - the tables' times are UTC without a zone
    assert row["moment"] == datetime(2019, 7, 1, 8)  # noqa: DTZ001
    assert row["features"] == {"zone": 161, "time": 1561968000, "litres": 1.0}
    assert isinstance(row["features"]["zone"], int)
    assert (row["low"], row["high"], row["shadow"]) == (None, 900.0, False)
    (shadow,) = rows("predictions", {**PREDICTION, "shadow": True})
    assert shadow["shadow"]


def test_an_outcome_is_read() -> None:
    """With the time's zone, and with facts or without."""
    (row,) = rows("feedback", OUTCOME)
    assert row["at"] == datetime(2026, 11, 20, 6)  # noqa: DTZ001
    assert (row["actual"], row["facts"]) == (660.0, {})
    (row,) = rows("feedback", {**OUTCOME, "at": None, "facts": {"miles": 2}})
    assert (row["at"], row["facts"]) == (None, {"miles": 2.0})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"[" * 100_000, "no JSON"),
        (b'{"actual": NaN}', "NaN is no number"),
        (b"\xff\xfe", "not UTF-8"),
        ({**OUTCOME, "prediction_id": "../etc"}, "no prediction_id"),
        ({**OUTCOME, "prediction_id": None}, "no prediction_id"),
        ({**OUTCOME, "actual": "600"}, "no number actual"),
        ({**OUTCOME, "actual": True}, "no number actual"),
        (json.dumps({**OUTCOME, "actual": 0}).replace("0,", "1e999,", 1).encode(), "actual is not finite"),
        ({**OUTCOME, "actual": 10**400}, "actual is not finite"),
        ({**OUTCOME, "at": "tomorrow"}, "at is no time"),
        ({**OUTCOME, "at": "9999-12-31T00:00:00Z"}, "at is not within 1970..2199"),
        ({**OUTCOME, "at": "0001-01-01T00:00:00+14:00"}, "at is no time"),
        ({**OUTCOME, "received_at": 5}, "no received_at"),
        ({**OUTCOME, "asker": None}, "no asker"),
        ({**OUTCOME, "facts": {str(n): 1 for n in range(17)}}, "facts are no object of at most 16 numbers"),
        ({**OUTCOME, "facts": {"Miles": 1}}, "a fact has no proper name"),
        ({**OUTCOME, "facts": {"miles": "2"}}, "no number miles"),
    ],
)
def test_a_line_that_cannot_be_read_is_kept_with_its_reason(line: Any, reason: str) -> None:
    """The line itself, cut where it is long; the lines beside it are read."""
    before, bad, after = rows("feedback", OUTCOME, line, OUTCOME)
    assert (before["reason"], after["reason"]) == (None, None)
    assert (bad["reason"], bad["line"]) == (reason, 2)
    assert 0 < len(bad["raw"]) <= lines.MAX_RAW
    assert bad["received_at"] == datetime(2026, 11, 20)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"features": None}, "no features"),
        ({"features": {**FEATURES, "zone": 1.5}}, "feature zone is no whole number"),
        ({"features": {**FEATURES, "zone": 2**63}}, "feature zone is no whole number"),
        ({"features": {"zone": 1}}, "no number time"),
        ({"features": {**FEATURES, "time": 10**15}}, "time is no time"),
        ({"features": {**FEATURES, "time": -5}}, "time is not within 1970..2199"),
        ({"value": None}, "no number value"),
        ({"high": "far"}, "no number high"),
    ],
)
def test_an_answer_that_cannot_be_read_has_a_reason(changed: dict[str, Any], reason: str) -> None:
    """One that names what is wrong."""
    (row,) = rows("predictions", {**PREDICTION, **changed})
    assert row["reason"] == reason


def test_a_damaged_object_gives_what_whole_lines_it_has_and_a_reason() -> None:
    """No gzip, cut off, or a bomb."""
    packed = gzip.compress(b"".join(json.dumps({**OUTCOME, "actual": n}).encode() + b"\n" for n in range(2000)))
    found = rows("feedback", content=packed[: len(packed) // 2])
    assert {row["reason"] for row in found[:-1]} == {None}
    assert len(found) > 100
    assert found[-1]["reason"] == "the object is cut off"
    (row,) = rows("feedback", content=b"no gzip")
    assert row["reason"] == "the object is no gzip file"


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to more than the bound is not unpacked further."""
    monkeypatch.setattr(lines, "MAX_OBJECT", 1000)
    (row,) = rows("feedback", content=gzip.compress(b"x" * 2000))
    assert row["reason"] == "the object unpacks to more than 1000 bytes"


@given(st.lists(st.binary(max_size=60).filter(lambda line: line.strip() and b"\n" not in line), max_size=20))
def test_every_line_that_is_not_blank_becomes_one_row(given: list[bytes]) -> None:
    """Whatever its bytes."""
    for topic in ("predictions", "feedback"):
        assert [row["line"] for row in rows(topic, *given)] == list(range(1, len(given) + 1))


def test_only_the_feature_that_the_gateway_puts_in_may_be_missing() -> None:
    """A log of before it was served is read; one that lacks what somebody asked is not."""
    shape = Shape(SHAPE.features, "time", optional="litres")
    given = [{name: each for name, each in FEATURES.items() if name != left} for left in ("litres", "zone")]
    text = b"\n".join(json.dumps({**PREDICTION, "features": each}).encode() for each in given)
    before, lacking = read(ORIGIN, gzip.compress(text, mtime=0), "predictions", shape)
    assert (before["reason"], before["features"]) == (None, {**FEATURES, "litres": None})
    assert lacking["reason"] == "no number zone"
    (said,) = rows("predictions", {**PREDICTION, "features": FEATURES})
    assert said["features"]["litres"] == 1.0
