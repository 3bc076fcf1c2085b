"""Rows become questions: cells take the types that the request's schema asks for, and what is none is told."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pytest

from tests.usecases.tiny.api import API as KETTLE
from tiphys.errors import DataError
from tiphys.serving.batch import answer_columns
from tiphys.serving.batch_questions import BadRowError, Questions
from tiphys.usecase import Api
from usecases.taxi_eta.api import API as ETA

pytestmark = pytest.mark.unit


def made(api: Api, cells: dict[str, Any]) -> dict[str, int | float]:
    """The features of one row with these cells."""
    return Questions(api, list(cells), "t.csv").features(list(cells.values()))


RIDE = {"pickup_zone": "161", "dropoff_zone": "138", "pickup_time": "2019-06-14T17:30:00"}


def test_cells_of_text_become_what_the_field_is() -> None:
    """Whole numbers may be written 1.0, blanks around are no part, an empty cell is not given."""
    found = made(ETA, {**RIDE, "pickup_zone": " 161.0 ", "passengers": ""})
    assert found == {
        "pickup_zone": 161,
        "dropoff_zone": 138,
        "pickup_time": 1560533400,
        "passengers": 1,
        "recent_pace": 0.0,
    }
    assert Questions(KETTLE, ["celsius", "litres"], "t.csv").question(["20", "1.5"]) == b'{"litres":1.5,"celsius":20}'


@pytest.mark.parametrize(
    "cells",
    [
        {"pickup_zone": 161, "passengers": None},
        {"pickup_zone": 161.0, "passengers": float("nan")},
        {"pickup_zone": decimal.Decimal(161), "pickup_time": dt.datetime(2019, 6, 14, 17, 30)},  # noqa: DTZ001
    ],
)
def test_cells_with_types_are_taken_as_they_are_meant(cells: dict[str, Any]) -> None:
    """Times, decimals, whole numbers that a missing one made floats."""
    assert made(ETA, {**RIDE, **cells}) == made(ETA, RIDE)


@pytest.mark.parametrize(
    ("cells", "complaint"),
    [
        ({"pickup_zone": "999"}, "pickup_zone: Input should be less than or equal to 263"),
        ({"pickup_zone": "1e2"}, "pickup_zone: Input should be a valid integer"),
        ({"pickup_zone": "9" * 400}, "pickup_zone: "),
        ({"pickup_zone": 1.5}, "pickup_zone: "),
        ({"pickup_zone": True}, "pickup_zone: "),
        ({"pickup_zone": float("inf")}, "infinite"),
        ({"pickup_zone": b"1"}, "bytes"),
        ({"pickup_time": "yesterday"}, "pickup_time: "),
        ({"pickup_time": "3019-06-14T17:30:00"}, "pickup_time: "),
        ({"pickup_time": ""}, "pickup_time: Field required"),
    ],
)
def test_a_row_that_is_no_question_says_which_cell(cells: dict[str, Any], complaint: str) -> None:
    """The API's own words, with the field before them."""
    with pytest.raises(BadRowError, match=complaint):
        made(ETA, {**RIDE, **cells})


def test_missing_columns_are_told_with_what_is_allowed() -> None:
    """All of them at once, with the column that may be meant and the optional ones."""
    with pytest.raises(DataError) as told:
        Questions(ETA, ["pickup_zne", "dropoff_zone", "note"], "rides.csv")
    message = str(told.value)
    assert "rides.csv has no column pickup_zone (is it 'pickup_zne'?), pickup_time;" in message
    assert "passengers       optional" in message
    with pytest.raises(DataError, match="separates its columns with ';': write it with commas"):
        Questions(KETTLE, ["litres;celsius"], "t.csv")
    with pytest.raises(DataError, match="'a' more than once"):
        Questions(KETTLE, ["a", "litres", "celsius", "a"], "t.csv")


def test_columns_that_are_no_fields_are_nobodys_question() -> None:
    """They are not sent: a request may forbid what it does not know."""
    assert (
        Questions(ETA, [*RIDE, "note"], "t.csv").question([*RIDE.values(), "hi"]).count(b":") == 3 + 2
    )  # two in the time


def test_answers_add_their_fields_with_types_and_an_error() -> None:
    """A field that may be null has the type that it has otherwise."""
    assert answer_columns(KETTLE) == {"seconds": "number", "model_version": "string", "error": "string"}
    assert answer_columns(ETA)["low_s"] == "number"
