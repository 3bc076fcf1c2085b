"""`get` draws a run as `argo get` does: the header, then the tree with its columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tiphys.engine import ages
from tiphys.engine.argo_get import draw, steps
from tiphys.engine.argo_shape import workflow_json
from tiphys.engine.nodes import Node, node_id, pod_name
from tiphys.engine.selector import parse_selector

pytestmark = pytest.mark.unit
MakeMachine = Callable[[str], Any]
SAY = '  - {name: say, container: {image: "debian:12", command: ["true"]}}\n'
GROUPS = (
    """
  - name: main
    steps:
    - [{name: one, template: say}, {name: two, template: say}]
    - [{name: three, template: say}]
"""
    + SAY
)


def names(lines: list[str]) -> list[str]:
    """The first column: what comes before the template's name."""
    return [line[: lines[0].index("TEMPLATE")].rstrip() for line in lines[1:]]


def finish(machine: Any, *pods: str) -> None:
    """End these pods well."""
    for pod in pods:
        machine.begin(pod)
        machine.end(pod)


def test_step_groups_are_drawn_by_their_branches(machine: MakeMachine) -> None:
    """A group of two forks where the group would stand; a group of one goes straight on; groups have no line."""
    made = machine(GROUPS)
    finish(made, "wf[0].one", "wf[0].two", "wf[1].three")
    assert names(steps(made.run, made.now)) == [" ✔ wf", " ├─┬─✔ one", " │ └─✔ two", " └───✔ three"]


def test_long_values_are_cut_and_further_lines_stay_in_their_column(machine: MakeMachine) -> None:
    """A page of figures or a table must not bury what stands beside it."""
    made = machine(GROUPS)
    values = {"figures": "x" * 1000 + "\n", "table": "rows  10\nMAE    2", "page": "y\n" * 500}
    made.run.outputs = {"parameters": [{"name": name, "value": value} for name, value in values.items()]}
    lines = draw(made.run, made.now)
    assert not any("\n" in line for line in lines)
    assert f"  figures:           {'x' * 200}…" in lines
    assert sum(line.endswith(" y") for line in lines) == 20
    assert lines[lines.index("  table:             rows  10") + 1] == " " * 21 + "MAE    2"


def test_columns_are_those_of_argo_and_only_pods_have_a_pod_s_name(machine: MakeMachine) -> None:
    """STEP TEMPLATE PODNAME DURATION MESSAGE, one below the other."""
    made = machine(GROUPS)
    made.begin("wf[0].one")
    made.now += 65
    made.end("wf[0].one", "Failed", 3)
    lines = steps(made.run, made.now)
    headings, root, one = lines[0], lines[1], lines[2]
    assert headings.split() == ["STEP", "TEMPLATE", "PODNAME", "DURATION", "MESSAGE"]
    assert one[headings.index("TEMPLATE") :].startswith("say ")
    assert one[headings.index("PODNAME") :].startswith(pod_name("wf", "wf[0].one", "say") + " ")
    assert one[headings.index("DURATION") :].startswith("1m ")
    assert one[headings.index("MESSAGE") :] == "main: Error (exit code 3)"
    assert "wf-" not in root


def test_a_retry_is_drawn_only_once_it_tried_again(machine: MakeMachine) -> None:
    """One attempt: its line alone. Two: the step, and both below it."""
    template = """
  - name: main
    dag: {tasks: [{name: a, template: flaky}]}
  - name: flaky
    retryStrategy: {limit: 1}
    container: {image: "debian:12", command: ["true"]}
"""
    made = machine(template)
    assert names(steps(made.run, made.now)) == [" ● wf", " └─◷ a(0)"]
    made.begin("wf.a(0)")
    made.end("wf.a(0)", "Failed")
    assert names(steps(made.run, made.now)) == [" ● wf", " └─● a", "   ├─✖ a(0)", "   └─◷ a(1)"]


def test_the_items_of_a_loop_stand_in_their_own_order_without_their_group(machine: MakeMachine) -> None:
    """Ten items: the third comes before the tenth."""
    made = machine(
        """
  - name: main
    dag: {tasks: [{name: a, template: say, withSequence: {count: 11}}]}
"""
        + SAY
    )
    shown = names(steps(made.run, made.now))
    assert [line.split("a(")[1].split(":")[0] for line in shown[1:]] == [str(index) for index in range(11)]


def test_what_was_omitted_is_left_out_and_a_suspended_step_has_its_sign(machine: MakeMachine) -> None:
    """As on Argo."""
    made = machine(
        """
  - name: main
    dag:
      tasks:
      - {name: a, template: say}
      - {name: never, depends: a.Failed, template: say}
      - {name: ask, depends: a, template: ask}
  - {name: ask, suspend: {}}
"""
        + SAY
    )
    finish(made, "wf.a")
    assert names(steps(made.run, made.now)) == [" ● wf", " ├─✔ a", " └─ǁ ask"]
    assert any(line.split() == ["Status:", "Running", "(Suspended)"] for line in draw(made.run, made.now))


def test_the_exit_handler_has_a_tree_of_its_own(machine: MakeMachine) -> None:
    """After an empty line."""
    made = machine(SAY.replace("say", "main"))
    exit_id = node_id("wf", "wf.onExit")
    made.run.nodes[exit_id] = Node(exit_id, "wf.onExit", "wf.onExit", "Pod", "Running", template_name="bye")
    assert names(steps(made.run, made.now)) == [" ◷ wf", "", " ● wf.onExit"]


def test_a_selector_chooses_what_is_shown(machine: MakeMachine) -> None:
    """`--node-field-selector phase=Failed`."""
    made = machine(GROUPS)
    made.begin("wf[0].one")
    made.end("wf[0].one", "Failed")
    lines = steps(made.run, made.now, clauses=parse_selector("phase=Failed,templateName=say"))
    assert len(lines) == 2
    assert "✖ one" in lines[1]


def test_the_header_has_parameters_and_outputs(machine: MakeMachine) -> None:
    """Each with its value, under its title; colours only where they are asked for."""
    made = machine(SAY.replace("say", "main"))
    made.run.spec["arguments"] = {"parameters": [{"name": "message", "value": "ahoy"}]}
    made.run.outputs = {"parameters": [{"name": "found", "value": "42"}]}
    text = "\n".join(draw(made.run, made.now))
    assert "Parameters:\n  message:           ahoy\nOutput Parameters:\n  found:             42\n" in text
    assert "\x1b" not in text
    assert "\x1b[36mRunning\x1b[0m" in "\n".join(draw(made.run, made.now, colour=True))


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (0, "0 seconds", "0s"),
        (1, "1 second", "1s"),
        (59.9, "59 seconds", "59s"),
        (65, "1 minute 5 seconds", "1m"),
        (3600, "1 hour 0 minutes", "1h"),
        (90000, "1 day 1 hours", "1d"),
    ],
)
def test_durations_read_as_on_argo(seconds: float, long: str, short: str) -> None:
    """Two units in the header, one in the table."""
    assert (ages.long(seconds), ages.short(seconds)) == (long, short)


def test_the_json_is_argo_s(machine: MakeMachine) -> None:
    """A Workflow with the labels that a controller gives it, nodes by id, nothing of our own in memoizationStatus."""
    made = machine(SAY.replace("say", "main"))
    made.run.nodes["wf"].memoization = {"hit": False, "key": "k", "cacheName": "c", "saved": True}
    made.begin("wf")
    made.end("wf")
    shape = workflow_json(made.run)
    assert (shape["apiVersion"], shape["kind"]) == ("argoproj.io/v1alpha1", "Workflow")
    assert shape["metadata"]["labels"] == {
        "workflows.argoproj.io/phase": "Succeeded",
        "workflows.argoproj.io/completed": "true",
    }
    node = shape["status"]["nodes"]["wf"]
    assert node["memoizationStatus"] == {"hit": False, "key": "k", "cacheName": "c"}
    assert "boundaryID" not in node
