"""From a row of a table to a question of a use case's API: which columns it needs, and what is wrong with a row.

Knows no file, no HTTP and no model: the command line asks the gateway with it, batch scoring the model itself.
"""

from __future__ import annotations

import datetime as dt
import decimal
import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from tiphys.errors import DataError

if TYPE_CHECKING:
    from tiphys.usecase import Api

Made = TypeVar("Made")

_WHOLE = re.compile(r"([+-]?\d{1,18})(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_SEPARATOR = re.compile(r"[;\t|]")
_LOGICAL = {"true": True, "false": False}
_COMPLAINTS = 5
"""Most complaints that are told of one row."""


class BadRowError(ValueError):
    """A row that is no question: the message says why."""


class Questions:
    """The questions of one API, made from the rows of a table with these columns."""

    def __init__(self, api: Api, columns: Sequence[str], where: str) -> None:
        """Find the fields' columns; the other columns are nobody's question.

        Raises:
            DataError: a column stands twice, or one that a question needs is missing; the message has what is allowed.
        """
        schema = api.request.model_json_schema()
        self._fields: dict[str, dict[str, Any]] = schema.get("properties", {})
        self._needed: tuple[str, ...] = tuple(schema.get("required", ()))
        twice = sorted({each for each in columns if columns.count(each) > 1})
        if twice:
            message = f"{where} has column {', '.join(map(repr, twice))} more than once: rename or drop one of them"
            raise DataError(message)
        missing = [name for name in self._needed if name not in columns]
        if missing:
            raise DataError(self._complaint(columns, missing, where))
        self._places = [
            (name, columns.index(name), _kinds(each, schema)) for name, each in self._fields.items() if name in columns
        ]
        self._adapter: TypeAdapter[Any] = TypeAdapter(api.request)
        self._to_features = api.to_features

    def question(self, row: Sequence[Any]) -> bytes:
        """Make the question of a row, as JSON; an empty cell counts as not given.

        Raises:
            BadRowError: the API takes no such question.
        """
        text = self._text(row)
        self._read(text)
        return text

    def features(self, row: Sequence[Any]) -> dict[str, int | float]:
        """Make one value a feature of a row. Raises as :meth:`question`, and for what the model cannot know."""
        try:
            return self._to_features(self._read(self._text(row)))
        except ValueError as error:
            raise BadRowError(str(error)) from None

    def sorted_out(
        self, rows: Sequence[Sequence[Any]], flaws: Mapping[int, str], make: Callable[[Sequence[Any]], Made]
    ) -> tuple[list[Made], dict[int, str]]:
        """Make something of each good row, and tell what is wrong with the others: number of the row -> why."""
        good: list[Made] = []
        bad = dict(flaws)
        for number, row in enumerate(rows):
            if number in flaws:
                continue
            try:
                good.append(make(row))
            except BadRowError as error:
                bad[number] = str(error)
        return good, bad

    def _text(self, row: Sequence[Any]) -> bytes:
        given = {}
        for name, at, kinds in self._places:
            cell = row[at]
            if cell is None or cell == "":
                continue
            found = _of_text(cell, kinds) if isinstance(cell, str) else _of_value(cell, kinds)
            if found is not None:
                given[name] = found
        return to_json(given)

    def _read(self, text: bytes) -> Any:
        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            raise BadRowError(_complaints(error)) from None

    def _complaint(self, columns: Sequence[str], missing: Sequence[str], where: str) -> str:
        if len(columns) == 1 and (other := _SEPARATOR.search(columns[0])):
            return f"{where} separates its columns with {other[0]!r}: write it with commas"
        unknown = [each for each in columns if each not in self._fields]
        meant = {each: difflib.get_close_matches(each, unknown, 1, 0.8) for each in missing}
        listed = ", ".join(f"{each} (is it {near[0]!r}?)" if near else each for each, near in meant.items())
        allowed = "\n".join(
            f"  {name:<16} {'needed  ' if name in self._needed else 'optional'} {each.get('description', '')}"
            for name, each in self._fields.items()
        )
        return (
            f"{where} has no column {listed}; it has {', '.join(columns)}. A row is a question with these columns:\n"
            f"{allowed}\nothers go into the output as they are"
        )


def _kinds(field: Mapping[str, Any], schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the JSON types that a field may have."""
    if "$ref" in field:
        return _kinds(schema["$defs"][field["$ref"].rpartition("/")[2]], schema)
    either = [*field.get("anyOf", ()), *field.get("allOf", ())]
    return frozenset([field["type"]] if "type" in field else []).union(*(_kinds(each, schema) for each in either))


def _of_value(cell: Any, kinds: frozenset[str]) -> Any:
    """Return what a cell says, as JSON knows it; None for nothing. What has another type than its field stays, to be refused."""
    if isinstance(cell, decimal.Decimal):
        cell = float(cell)
    if isinstance(cell, float):
        if math.isinf(cell):
            message = "a cell is infinite"
            raise BadRowError(message)
        if math.isnan(cell):
            return None
        return int(cell) if cell.is_integer() and "number" not in kinds else cell
    if isinstance(cell, dt.date | dt.time):
        return cell.isoformat()
    if isinstance(cell, bytes):
        message = "a cell holds bytes: store it as text or as a number"
        raise BadRowError(message)
    return cell


def _of_text(cell: str, kinds: frozenset[str]) -> Any:
    text = cell.strip()
    if "integer" in kinds and (whole := _WHOLE.fullmatch(text)):
        return int(whole[1])
    if "number" in kinds and _NUMBER.fullmatch(text):
        return float(text)
    if "boolean" in kinds and text.lower() in _LOGICAL:
        return _LOGICAL[text.lower()]
    return text or None


def _complaints(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    listed = [f"{'.'.join(map(str, each['loc'])) or 'question'}: {each['msg']}" for each in found[:_COMPLAINTS]]
    return "; ".join(listed)[:1000]
