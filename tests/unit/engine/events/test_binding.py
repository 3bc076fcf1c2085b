"""What a binding makes of an event: pure, and as Argo's server does it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tiphys.engine.errors import EngineError
from tiphys.engine.events import Event, from_headers
from tiphys.engine.events.binding import environment, is_wanted, workflow_for

pytestmark = pytest.mark.unit
Json = dict[str, Any]
TEMPLATE: Json = {"kind": "WorkflowTemplate", "metadata": {"name": "shared"}, "spec": {"entrypoint": "main"}}
PAYLOAD = {
    "message": "hello", "n": 1, "big": 12345678901234567890, "half": 0.5, "list": [1, "a"], "map": {"b": 1, "a": None},
    "quoted": 'say "hi"\n<b>&', "none": None, "yes": True, "tags": "{{workflow.name}}", "evil": "{{=1+1}}",
    "template": "other", "é": "ü",
}  # fmt: skip


def event(payload: Any = None, **fields: Any) -> Event:
    """An event that waits."""
    values: Json = {
        "id": "e1", "namespace": "default", "discriminator": "data", "sender_id": "",
        "payload": json.dumps(PAYLOAD if payload is None else payload), "metadata": {"x-kind": ["push"]}, "received": 1.0,
        "plan": None, "done": 0.0, "outcome": [],
    }  # fmt: skip
    return Event(**{**values, **fields})


def binding(selector: str = "true", **submit: Any) -> Json:
    """A binding to the template `shared`."""
    spec = {"event": {"selector": selector}, "submit": {"workflowTemplateRef": {"name": "shared"}, **submit}}
    return {"kind": "WorkflowEventBinding", "metadata": {"name": "b", "uid": "u"}, "spec": spec}


def made(found: Json, seen: Event | None = None) -> Json:
    """The Workflow for an event."""
    seen = seen or event()
    templates = {("WorkflowTemplate", "shared"): TEMPLATE, ("ClusterWorkflowTemplate", "shared"): TEMPLATE}
    return workflow_for(found, seen, environment(seen), lambda kind, name: templates.get((kind, name)))


def parameter(expression: str) -> str:
    """The value of a parameter with that expression."""
    workflow = made(binding(arguments={"parameters": [{"name": "p", "valueFrom": {"event": expression}}]}))
    return str(workflow["spec"]["arguments"]["parameters"][0]["value"])


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("true", True),
        ('payload.message == "hello"', True),
        ('payload.message != "" && metadata["x-kind"] == ["push"] && discriminator == "data"', True),
        ('metadata["x-kind"] == "push"', False),
        ('namespace == "default"', True),
        ("payload.n == 1 && payload.half < 1", True),
        ("payload.absent == nil", True),
        ("payload.map.a == nil", True),
        ('"a" in payload.list', True),
        ('payload.message matches "^h"', True),
    ],
)
def test_a_selector_sees_payload_metadata_discriminator_and_namespace(selector: str, wanted: bool) -> None:  # noqa: FBT001
    """Headers as lists, numbers as in JSON, what is not there as nil."""
    assert is_wanted(binding(selector), environment(event())) is wanted


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("payload.absent.deeper == 1", "failed to evaluate workflow template expression: cannot fetch deeper from"),
        ("payload.n", "unable to cast expression result"),
        ("1 +", "failed to evaluate workflow template expression: "),
        ("event.payload == 1", "unknown name event"),
        ('sprig.upper("a") == "A"', "unknown name sprig"),
        ("", "failed to evaluate workflow template expression: "),
    ],
)
def test_a_selector_that_fails_says_so(selector: str, message: str) -> None:
    """In Argo's words; sprig is not known there, as on a cluster."""
    with pytest.raises(EngineError, match=re.escape(message)):
        is_wanted(binding(selector), environment(event()))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("payload.message", "hello"), ("payload.n", "1"), ("payload.n + 1", "2"), ("payload.half", "0.5"),
        ("payload.big", "12345678901234567000"), ("payload.list", '[1,"a"]'), ("payload.map", '{"a":null,"b":1}'),
        ("payload.none", "null"), ("payload.absent", "null"), ("payload.yes", "true"), ('payload["é"]', "ü"),
        ("payload.quoted", 'say \\"hi\\"\\n<b>&'), ("metadata", '{"x-kind":["push"]}'), ("discriminator", "data"),
        ('payload.message + "-" + namespace', "hello-default"), ("len(payload.list)", "2"),
    ],
)  # fmt: skip
def test_a_parameter_is_the_json_of_its_expression(expression: str, value: str) -> None:
    """A text without its quotes, but with what JSON escapes in it: as on Argo."""
    assert parameter(expression) == value


@pytest.mark.parametrize("expression", ["payload.tags", "payload.evil", "payload", '"{" + "{x"', "[payload.tags]"])
def test_a_value_that_would_be_filled_in_is_refused(expression: str) -> None:
    """An event must not write templates."""
    with pytest.raises(EngineError, match=r'parameter "p": the event gives a value with'):
        parameter(expression)


def test_the_workflow_has_argos_labels_and_only_what_the_binding_asks_for() -> None:
    """Whatever the payload says of templates."""
    workflow = made(binding())
    assert workflow["spec"] == {"workflowTemplateRef": {"name": "shared"}}
    assert workflow["metadata"]["labels"] == {
        "workflows.argoproj.io/workflow-template": "shared",
        "workflows.argoproj.io/workflow-event-binding": "b",
    }
    assert workflow["metadata"]["annotations"] == {"tiphys/event": "e1"}
    assert workflow["metadata"]["name"].startswith("shared-")
    cluster = made(binding(workflowTemplateRef={"name": "shared", "clusterScope": True}))
    assert cluster["spec"]["workflowTemplateRef"]["clusterScope"] is True
    assert cluster["metadata"]["labels"]["workflows.argoproj.io/cluster-workflow-template"] == "shared"


def test_name_labels_and_annotations_are_expressions() -> None:
    """Sprig is known there, as on Argo."""
    metadata = {
        "name": 'payload.message + "-world"', "labels": {"kind": 'sprig.upper("x")', "fixed": '"text"'},
        "annotations": {"said": "payload.quoted"},
    }  # fmt: skip
    found = made(binding(metadata=metadata))["metadata"]
    assert found["name"] == "hello-world"
    assert found["labels"]["kind"] == "X"
    assert found["labels"]["fixed"] == "text"
    assert found["annotations"]["said"] == 'say "hi"\n<b>&'
    assert made(binding(metadata={"generateName": 'payload.message + "-"'}))["metadata"]["name"].startswith("hello-")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"name": "payload.n"}, "workflow name expression must evaluate to a string, not a float64"),
        ({"name": "payload.tags"}, "would be filled in as a tag"),
        ({"labels": {"a": "payload.quoted"}}, 'invalid label value "say'),
        ({"labels": {"a": "nothing"}}, 'failed to evaluate workflow label "a" expression: unknown name nothing'),
        ({"annotations": {"a": "payload.evil"}}, "would be filled in as a tag"),
    ],
)
def test_metadata_that_can_not_be_is_refused(metadata: Json, message: str) -> None:
    """In Argo's words where it has any."""
    with pytest.raises(EngineError, match=re.escape(message)):
        made(binding(metadata=metadata))


def test_a_template_that_is_not_there_is_named() -> None:
    """It may be installed before the next event."""
    with pytest.raises(EngineError, match='failed to get workflow template: WorkflowTemplate "other" not found'):
        made(binding(workflowTemplateRef={"name": "other"}))


def test_names_are_the_same_whenever_they_are_asked_for() -> None:
    """And others for another event, or another binding of the same event."""
    other = {**binding(), "metadata": {"name": "c", "uid": "v"}}
    names = {made(binding())["metadata"]["name"] for _ in range(3)}
    names |= {made(binding(), event(id="e2"))["metadata"]["name"], made(other)["metadata"]["name"]}
    assert len(names) == 3


def test_headers_become_metadata_and_an_id() -> None:
    """Only those that begin with x-, in lower case, as lists: no credential is among them."""
    headers = [
        ("X-GitHub-Event", "push"), ("x-github-event", "ping"), ("Authorization", "Bearer x"), ("Webhook-Id", " m1 "),
        ("X-Event-Id", "e9"),
    ]  # fmt: skip
    assert from_headers(headers) == ({"x-github-event": ["push", "ping"], "x-event-id": ["e9"]}, "m1")
    assert from_headers([("X-Event-Id", "e9")])[1] == "e9"
    assert from_headers([]) == ({}, "")
