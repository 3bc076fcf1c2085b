"""Expressions, conditions and tags give what the Go libraries of Argo gave: golden vectors, made by tests/vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine.errors import TemplateError
from tiphys.engine.expressions import evaluate, expand
from tiphys.engine.expressions.values import clean
from tiphys.engine.gotext import go_json, go_value
from tiphys.engine.substitute import Substitution
from tiphys.engine.when import should_execute

pytestmark = pytest.mark.unit
_FOLDER = Path(__file__).parents[2] / "vectors"
_CHUNK = 400
_REFUSED = "refused"
# Expressions that the engine answers in another way on purpose, each with its reason.
_POWER = "a power with a fraction: in Go the last digit depends on the processor's instructions"
_STACK = "expr 1.17.8 leaves values on its stack after findLast and findLastIndex, and what follows takes them"
DELIBERATE: dict[str, str] = {
    "m.none ?? (int(num) ** mix[2])": _POWER,
    "sprig.add(1, 2) ** mix[2]": _POWER,
    "n ^ mix[2]": _POWER,
    "int(num) ^ f": _POWER,
    'min(let v = 10; v + 2, 2e3 + len(ls)) ** max(sortBy(lf, abs(#), "asc"))': _POWER,
    'fromPairs([["a", findLast(mix, {# != 2})]])': _STACK,
}

Vector = dict[str, Any]


def _read(area: str) -> tuple[Vector, list[Vector]]:
    first, *rest = (_FOLDER / f"{area}.jsonl").read_text().splitlines()
    return json.loads(first), [json.loads(line) for line in rest]


def _expression(vector: Vector, environment: dict[str, Any]) -> tuple[str | None, str | None]:
    """The result in JSON and in Go's %v form."""
    result = evaluate(vector["in"], expand(environment))
    try:
        written = go_json(result)
    except TypeError:
        written = None
    return written, clean(go_value(result))


def _expected(vector: Vector) -> tuple[str | None, str | None]:
    written = vector.get("out")
    text = vector.get("text")
    if text is None and written is not None:
        text = json.loads(written) if written.startswith('"') else written
    return written, text


def _answer(area: str, vector: Vector, environment: dict[str, Any]) -> Any:
    try:
        if area == "when":
            return str(should_execute(vector["in"])).lower()
        if area == "template":
            strict = vector.get("strict", [])
            everything = strict == ["*"]
            names = ("",) if everything else tuple(strict)
            return Substitution(environment, names, artifacts_may_wait=not everything).text(vector["in"])
        return _expression(vector, environment)
    except TemplateError:
        return _REFUSED


def _wanted(area: str, vector: Vector) -> Any:
    if "error" in vector:
        return _REFUSED
    return vector["out"] if area in ("when", "template") else _expected(vector)


def _differences(area: str, head: Vector, vectors: list[Vector]) -> list[str]:
    found = []
    environments = {name: json.dumps(each) for name, each in head.get("envs", {}).items()}
    for vector in vectors:
        environment = json.loads(environments.get(vector.get("env"), "{}"))
        answer, wanted = _answer(area, vector, environment), _wanted(area, vector)
        if answer != wanted and vector["in"] not in DELIBERATE:
            found.append(
                f"{vector['in']!r} {vector.get('strict', '')}: {answer!r}, in Go {wanted!r} {vector.get('error', '')}"
            )
    return found


def _chunks() -> list[Any]:
    chunks = []
    for area in ("expr", "sprig", "when", "template"):
        head, vectors = _read(area)
        chunks += [
            pytest.param(area, head, vectors[at : at + _CHUNK], id=f"{area}-{at}")
            for at in range(0, len(vectors), _CHUNK)
        ]
    return chunks


@pytest.mark.parametrize(("area", "head", "vectors"), _chunks())
def test_the_engine_answers_as_the_go_libraries_do(area: str, head: Vector, vectors: list[Vector]) -> None:
    """Every vector gives the same JSON and the same text, or both refuse."""
    found = _differences(area, head, vectors)
    assert not found, f"{len(found)} of {len(vectors)} differ:\n" + "\n".join(found[:20])
