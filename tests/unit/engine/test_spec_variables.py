"""What stands in the spec itself, outside of its templates: its variables, and tags that name them."""

from __future__ import annotations

import pytest

from tiphys.engine.core import step
from tiphys.engine.load import load_text
from tiphys.engine.run_state import RunState

pytestmark = pytest.mark.unit
LEAF = """
  entrypoint: main
  templates:
  - {name: main, container: {image: "debian:12", command: ["true"]}}
"""
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
        "failed to set global parameters: failed to set global parameter color: "
        "ConfigMap 'paint' does not exist: put it into the manifest"
    )


def test_an_argument_whose_config_map_lacks_the_key_ends_the_run() -> None:
    """The message names both."""
    run = started(FROM_CONFIG_MAP, paint={"tint": "red"})
    assert run.phase == "Failed"
    assert run.message.endswith("ConfigMap 'paint' does not have the key 'shade'")
    assert started(FROM_CONFIG_MAP, paint={"shade": "red"}).phase == "Running"
