"""What stands in the spec itself, outside of its templates: its variables, and tags that name them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tiphys.engine.config_maps import TYPE
from tiphys.engine.core import step
from tiphys.engine.load import load_text
from tiphys.engine.run_state import RunState

MakeMachine = Callable[..., Any]
pytestmark = pytest.mark.unit
LEAF = """
  entrypoint: main
  templates:
  - {name: main, container: {image: "debian:12", command: ["true"]}}
"""
LEAF_ONLY = '  - {name: main, container: {image: "debian:12", command: ["true"]}}\n'
NUM = {"parameters": [{"name": "num", "value": "1"}]}
FROM_CONFIG_MAP = (
    "  arguments: {parameters: [{name: color, valueFrom: {configMapKeyRef: {name: paint, key: shade}}}]}" + LEAF
)


def started(text: str, **config_maps: dict[str, str]) -> RunState:
    """A run of the spec after its first pass."""
    spec = load_text(f"kind: Workflow\nspec:\n{text}")[0]["spec"]
    run = RunState("wf", "uid", 1.0, spec, config_maps=config_maps)
    step(run, [], 1000.0)
    return run


def test_an_argument_whose_config_map_is_missing_ends_the_run() -> None:
    """Failed, before any step: as Argo's setGlobalParameters does."""
    run = started(FROM_CONFIG_MAP)
    assert (run.phase, run.finished, run.nodes) == ("Failed", 1000.0, {})
    assert run.message == (
        "failed to set global parameters: failed to set global parameter color from configmap with name paint and key shade: "
        "ConfigMap 'paint' does not exist. Please make sure it has the label "
        "workflows.argoproj.io/configmap-type: Parameter to be detectable by the controller"
    )


def test_an_argument_whose_config_map_lacks_the_key_ends_the_run() -> None:
    """The message names both."""
    run = started(FROM_CONFIG_MAP, paint={TYPE: "Parameter", "tint": "red"})
    assert run.phase == "Failed"
    assert run.message.endswith("ConfigMap 'paint' does not have the key 'shade'")
    assert started(FROM_CONFIG_MAP, paint={TYPE: "Parameter", "shade": "red"}).phase == "Running"


def test_the_retry_strategy_of_the_spec_may_name_an_argument(machine: MakeMachine) -> None:
    """Its limit is a text until then (Argo: substituteGlobalVariables)."""
    made = machine(LEAF_ONLY, arguments=NUM, retryStrategy={"limit": "{{workflow.parameters.num}}"})
    for attempt in (0, 1):
        made.end(f"wf({attempt})", "Failed")
    assert made.run.phase == "Failed"
    assert made.node("wf").message == "No more retries left"


def test_a_hook_of_the_workflow_may_name_an_argument(machine: MakeMachine) -> None:
    """In its expression, and in what the exit handler is given."""
    hook = {"expression": "'{{workflow.parameters.num}}' == '1'", "template": "main"}
    assert machine(LEAF_ONLY, arguments=NUM, hooks={"h": hook}).started == ["wf", "wf.hooks.h"]
    hook["expression"] = "'{{workflow.parameters.num}}' == '2'"
    assert machine(LEAF_ONLY, arguments=NUM, hooks={"h": hook}).started == ["wf"]


def test_how_the_run_goes_is_known_to_hooks_when_they_fire(machine: MakeMachine) -> None:
    """A tag of the status in the spec is not filled in, as on Argo; the bare name is a variable."""
    bare = machine(LEAF_ONLY, hooks={"h": {"expression": 'workflow.status == "Running"', "template": "main"}})
    tag = machine(LEAF_ONLY, hooks={"h": {"expression": '"{{workflow.status}}" == "Running"', "template": "main"}})
    for made in (bare, tag):
        made.begin("wf")
    assert (bare.started, tag.started) == (["wf", "wf.hooks.h"], ["wf"])


def test_pod_labels_of_the_spec_may_name_an_argument(machine: MakeMachine) -> None:
    """A step that asks for the label of its pod sees the value."""
    field = {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['n']"}}}
    made = machine(
        LEAF_ONLY.replace('command: ["true"]', f'command: ["true"], env: [{json.dumps(field)}]'),
        arguments=NUM,
        podMetadata={"labels": {"n": "{{workflow.parameters.num}}"}},
    )
    assert made.waiting["wf"].template["container"]["env"] == [{"name": "L", "value": "1"}]
