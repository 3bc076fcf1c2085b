"""Records are compared by name, and the first difference is said in words."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine
from tiphys.engine.differences import DELIBERATE, Difference
from tiphys.engine.errors import EngineError
from tiphys.engine.parity import DELIBERATELY, DIFFERENT, cases, differences, judge, normalise, same_refusal

pytestmark = pytest.mark.unit
WORKFLOW: dict[str, Any] = {
    "metadata": {"name": "wf-x7k2p"},
    "status": {
        "phase": "Failed",
        "message": "child 'wf-x7k2p-1234567890' failed",
        "outputs": {"parameters": [{"name": "g", "value": "wf-x7k2p says 1234567"}]},
        "nodes": {
            "wf-x7k2p": {
                "name": "wf-x7k2p", "displayName": "wf-x7k2p", "type": "Steps", "phase": "Failed",
                "children": ["wf-x7k2p-1234567890"], "startedAt": "2026-01-01T00:00:00Z",
            },
            "wf-x7k2p-1234567890": {
                "name": "wf-x7k2p[0]", "displayName": "[0]", "type": "StepGroup", "phase": "Failed",
                "boundaryID": "wf-x7k2p", "nodeFlag": {},
                "inputs": {"parameters": [{"name": "a", "value": "1"}]},
                "outputs": {"exitCode": "0", "artifacts": [{"name": "z"}, {"name": "b"}]},
            },
        },
    },
}  # fmt: skip


def test_names_stand_for_ids_and_times_are_left_out() -> None:
    """The run's own name becomes WF wherever it stands."""
    found = normalise(WORKFLOW)
    assert found["message"] == "child 'WF-<id>' failed"
    assert found["outputs"] == {"parameters": {"g": "WF says 1234567"}}
    root, group = found["nodes"]
    assert root == {"name": "WF", "displayName": "WF", "type": "Steps", "phase": "Failed", "children": ["WF[0]"]}
    assert (group["boundary"], group["inputs"], group["flags"]) == ("WF", {"a": "1"}, {})
    assert group["outputs"] == {"exitCode": "0", "artifacts": ["b", "z"]}


def test_the_same_has_no_difference() -> None:
    """Whatever the ids and the order of the nodes."""
    other = copy.deepcopy(WORKFLOW)
    other["metadata"]["name"] = "wf-other"
    status = other["status"]
    status["message"] = "child 'wf-other-7654321' failed"
    status["outputs"]["parameters"][0]["value"] = "wf-other says 1234567"
    root, group = status["nodes"].values()
    root.update(name="wf-other", displayName="wf-other", children=["wf-other-7654321"])
    group.update(name="wf-other[0]", boundaryID="wf-other")
    status["nodes"] = {"wf-other-7654321": group, "wf-other": root}
    assert next(differences(normalise(WORKFLOW), normalise(other)), "") == ""


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("phase",), "Error", 'workflow, phase: Argo "Failed", here "Error"'),
        (("outputs",), None, 'workflow, outputs: Argo {"parameters": {"g": "WF says 1234567"}}, here nothing'),
        (("nodes", 1, "inputs"), {"a": "2"}, 'node WF[0], inputs: Argo {"a": "1"}, here {"a": "2"}'),
        (("nodes", 1, "name"), "WF[1]", "node WF[0]: only on Argo (Failed)"),
        (("nodes", 1, "extra"), 1, "node WF[0], extra: Argo nothing, here 1"),
    ],
)
def test_the_first_difference_is_named_with_its_node_and_field(path: tuple[Any, ...], value: object, said: str) -> None:
    """What Argo had, and what is here."""
    recorded = normalise(WORKFLOW)
    ours = copy.deepcopy(recorded)
    place: Any = ours
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert next(differences(recorded, ours), "") == said


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """With what would do."""
    with pytest.raises(EngineError, match="folder of manifests"):
        cases(tmp_path)


def test_every_deliberate_difference_has_a_reason() -> None:
    """A person reads it in the table."""
    assert all(each.reason and each.phase and each.places for each in DELIBERATE.values())


@pytest.mark.parametrize(
    ("case", "theirs", "ours", "same"),
    [
        ("x", "rpc error: code = InvalidArgument desc = spec.a is required", "spec.a is required: give it", True),
        ("x", "rpc error: code = InvalidArgument desc = spec.a is required", "spec.b is required: give it", False),
        ("x", "spec.a is required", "an image without a stand-in", False),
        ("reject-retry-policy", "whatever", "templates.nop Sometimes is not a valid RetryPolicy (valid: Always)", True),
        ("reject-retry-policy", "whatever", "templates.nop is unknown", False),
    ],
)
def test_a_refusal_counts_only_for_the_reason_that_argo_has(case: str, theirs: str, ours: str, *, same: bool) -> None:
    """Our message holds Argo's words, or those that the list has for the case."""
    assert same_refusal(case, theirs, ours) == same


def test_only_the_differences_that_are_listed_are_deliberate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more, one less or another one is a defect, though the phase is the same."""
    text = """
kind: Workflow
metadata: {name: w}
spec: {entrypoint: main, templates: [{name: main, suspend: {duration: "0"}}]}
"""
    (tmp_path / "odd.yaml").write_text(text)
    node = {"name": "w", "displayName": "w", "type": "Suspend", "phase": "Succeeded", "templateName": "main"}
    recorded: dict[str, Any] = {"metadata": {"name": "w"}, "status": {"phase": "Succeeded", "nodes": {"w": node}}}
    places = {("node WF, message: ",): DELIBERATELY, ("node WF, type: ",): DIFFERENT, (): DIFFERENT}
    node["message"] = "said"
    (tmp_path / "odd.json").write_text(json.dumps(recorded))
    for number, (known, verdict) in enumerate(places.items()):
        monkeypatch.setitem(DELIBERATE, "odd", Difference("why", "Succeeded", known))
        found = judge(cases(tmp_path)[0], Engine(tmp_path / str(number)))
        assert found.verdict == verdict, found.detail
