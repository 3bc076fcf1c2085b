"""Manifests that are nearly right: whatever stands in a wrong place is told as a problem, and never is a traceback."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiphys.engine import Engine, ManifestError, load_file, load_text
from tiphys.engine.lint import finder, problems

pytestmark = pytest.mark.unit
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "argo"
MANIFESTS = [load_file(file) for file in sorted(GOLDEN.glob("*.yaml"))]
STRANGE: list[Any] = [
    None, 5, -1, True, "x", "", [], {}, [5], {"a": 5}, ["x"], "{{", "{{=", "{{x}}", [[]], [None], {"a": None}, 1.5,
    "a\n", "{{item}}", 10**400, [{}], {"name": None}, "\0", "..",
]  # fmt: skip


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every key of every mapping, and every index of every list."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield tree, key
        yield from places(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_strange_value_anywhere_is_a_problem_or_none(tmp_path: Path, data: st.DataObject) -> None:
    """One or two values of a good manifest are replaced; only a refusal or a list of problems may come of it."""
    documents = copy.deepcopy(MANIFESTS[data.draw(st.integers(0, len(MANIFESTS) - 1))])
    for _ in range(data.draw(st.integers(1, 2))):
        choice = list(places(documents))
        holder, key = choice[data.draw(st.integers(0, len(choice) - 1))]
        holder[key] = copy.deepcopy(data.draw(st.sampled_from(STRANGE)))
    engine = Engine(tmp_path)
    find = finder(documents, engine.objects.get)
    refused = False
    try:
        engine.check(copy.deepcopy(documents))
    except ManifestError:
        refused = True
    found = [problem for document in documents for problem in problems(copy.deepcopy(document), find, engine.images)]
    assert all(isinstance(problem, str) for problem in found)
    assert refused or not found, "what lint has against it, the check before a run has too"


@pytest.mark.parametrize(
    "where", ["arguments: {parameters: [{name: a, value: HUGE}]}", "arguments: {parameters: [{name: a, enum: [HUGE]}]}"]
)
def test_a_number_that_go_cannot_read_is_refused_though_the_run_never_looks_at_it(tmp_path: Path, where: str) -> None:
    """A template's own argument that the workflow beside it sets: Argo could not read the template."""
    text = """
kind: WorkflowTemplate
metadata: {name: lib}
spec: {entrypoint: main, WHERE, templates: [{name: main, suspend: {}}]}
---
kind: Workflow
metadata: {name: run}
spec: {workflowTemplateRef: {name: lib}, arguments: {parameters: [{name: a, value: mine}]}}
"""
    with pytest.raises(ManifestError, match="more than 308 digits"):
        Engine(tmp_path).check(load_text(text.replace("WHERE", where.replace("HUGE", "1" + "0" * 400))))


@pytest.mark.parametrize(
    "tag", ["timestamp 2001-01-01", "binary aGVsbG8=", "set {a, b}", "omap [a: b]", "pairs [a: b]"]
)
def test_a_value_that_json_lacks_is_refused_with_its_line(tag: str) -> None:
    """YAML knows more kinds of values than a Kubernetes object can hold."""
    with pytest.raises(ManifestError, match=r"line 2: JSON has no !!"):
        load_text(f"kind: Workflow\nspec: {{a: !!{tag}}}")


@pytest.mark.parametrize(
    "text", ["!!bool maybe", "!!int x", "!!float x", "!!map [a]", "{[a]: b}", "{~: b}", "{{a: b}: c}"]
)
def test_a_value_that_is_not_what_its_tag_says_is_refused(text: str) -> None:
    """So is a key that is no text."""
    with pytest.raises(ManifestError):
        load_text(f"kind: Workflow\nspec: {{a: {text}}}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("kind: Secret\nmetadata: {name: s}\ndata: {a: abc}", "Secret.data.a: this is not base64"),
        ("kind: Secret\nmetadata: {name: s}\ndata: {a: 5}", "Secret.data.a: a text"),
        ("kind: Secret\nmetadata: {name: s}\nstringData: {a: 5}", "Secret.stringData.a: a text"),
        ("kind: ConfigMap\nmetadata: {name: s}\ndata: {a: 5}", "ConfigMap.data.a: a text"),
        ("kind: ConfigMap\nmetadata: {name: s}\nbinaryData: {a: AA==}", "binaryData can't be kept"),
        ("kind: ConfigMap\ndata: {a: b}", "ConfigMap without metadata.name"),
        ("kind: WorkflowTemplate\nspec: {templates: []}", "WorkflowTemplate without metadata.name"),
        (
            "kind: Workflow\nmetadata: {name: w}\nspec: {entrypoint: s, templates: [{name: s, steps: [[null]]}]}",
            r"steps",
        ),
    ],
)
def test_an_object_that_kubernetes_would_not_take_is_refused(tmp_path: Path, body: str, message: str) -> None:
    """By lint, before a run, and by the store."""
    engine, document = Engine(tmp_path), load_text(body)[0]
    assert message in "".join(problems(document, engine.objects.get, engine.images))
    with pytest.raises(ManifestError, match=message):
        engine.check([document])
    with pytest.raises(ManifestError):
        engine.objects.apply(document)


def test_a_secret_may_hold_any_bytes(tmp_path: Path) -> None:
    """A key or a certificate store is no text."""
    engine = Engine(tmp_path)
    engine.apply(load_text("kind: Secret\nmetadata: {name: s}\ndata: {a: /////w==}"))
    assert (engine.objects.data("Secret", "s") or {})["a"].encode("utf-8", "surrogateescape") == b"\xff\xff\xff\xff"
