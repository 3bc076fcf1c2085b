"""The service's demands follow from the business: the table in the README, computed again, is what slo.py says."""

from __future__ import annotations

import ast
import dataclasses
import math
import operator
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tiphys.settings import PROJECT
from usecases.taxi_eta.slo import LOAD, SLO

pytestmark = pytest.mark.unit

README = (PROJECT / "usecases" / "taxi_eta" / "README.md").read_text(encoding="utf-8")
FIELDS = [each.name for each in dataclasses.fields(SLO) if each.name != "reasons"]
AT_LEAST, AT_MOST = {"rate", "concurrency", "batch_rows_per_s"}, {"max_loss"}
"""Rounded upwards or downwards; the others are exact."""
OPERATORS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def rows(columns: int) -> Iterator[list[str]]:
    """Cells of the tables with so many columns, in the part about what is asked of the service."""
    for line in README.partition("\n## The data\n")[0].splitlines():
        cells = [each.strip() for each in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == columns:
            yield cells


def assumptions() -> dict[str, float]:
    """Name -> figure."""
    found = {}
    for name, figure, _ in rows(3):
        named = re.match(r"`(\w+)`", name)
        if named:
            found[named[1]] = float(figure)
    return found


def computed(text: str, known: dict[str, float]) -> float:
    """The value of a line's arithmetic: names, numbers, + - * / and sqrt, nothing else."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.BinOp():
                return float(OPERATORS[type(node.op)](value(node.left), value(node.right)))
            case ast.Call(func=ast.Name(id="sqrt"), args=[inside]):
                return math.sqrt(value(inside))
            case ast.Name():
                return known[node.id]
            case ast.Constant(value=int() | float() as number):
                return float(number)
        raise ValueError(ast.dump(node))

    return value(ast.parse(text, mode="eval").body)


REQUIREMENTS = {field.strip("`"): (text, float(figure)) for _, field, text, figure in list(rows(4))[2:]}


def test_every_demand_has_its_line_in_the_readme() -> None:
    """None is asked for without a reason, in words and in figures."""
    assert sorted(REQUIREMENTS) == sorted(FIELDS)
    assert sorted(SLO.reasons) == sorted(FIELDS)


@pytest.mark.parametrize("field", FIELDS)
def test_a_demand_is_what_its_line_computes(field: str) -> None:
    """From the assumptions, rounded to the safe side by at most a fifth; slo.py has the same figure."""
    text, figure = REQUIREMENTS[field]
    known = {**assumptions(), **{name: line[1] for name, line in REQUIREMENTS.items()}}
    found = computed(text, known)
    assert getattr(SLO, field) == figure
    if field in AT_LEAST:
        assert found <= figure <= 1.2 * found
    elif field in AT_MOST:
        assert found / 1.2 <= figure <= found
    else:
        assert figure == pytest.approx(found)


def test_the_load_test_asks_for_what_the_service_owes() -> None:
    """Its figures are the demands', and each has a reason."""
    assert (LOAD.rate, LOAD.users, LOAD.p95_ms, LOAD.max_p99_ms) == (SLO.rate, SLO.concurrency, SLO.p95_ms, SLO.p99_ms)
    assert LOAD.max_error_share == SLO.max_error_share
    assert LOAD.reasons.keys() >= {"rate", "users", "p95_ms", "max_p99_ms", "max_error_share", "seconds"}
