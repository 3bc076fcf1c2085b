"""Every problem of a manifest is found, not only the first."""

from __future__ import annotations

import pytest

from tiphys.engine.images import ImageTable, machine_images
from tiphys.engine.lint import finder, problems
from tiphys.engine.load import load_text

pytestmark = pytest.mark.unit


def found(text: str) -> list[str]:
    """The problems of all documents."""
    documents = load_text(text)
    images = ImageTable(machine_images())
    find = finder(documents, lambda _kind, _name: None)
    return [problem for document in documents for problem in problems(document, find, images)]


def test_each_template_s_problem_is_named() -> None:
    """Unknown fields first, since what they mean can't be known."""
    text = """
kind: Workflow
metadata: {name: w}
spec:
  entrypoint: main
  templates:
  - {name: main, container: {image: "debian:12", comand: ["true"]}}
  - {name: other, steps: [[{name: a, tmplate: x}]]}
"""
    first, second = found(text)
    assert "comand" in first
    assert "tmplate" in second


def test_templates_are_checked_one_by_one() -> None:
    """A broken reference in one does not hide the loop in another."""
    text = """
kind: Workflow
metadata: {name: w}
spec:
  entrypoint: main
  templates:
  - {name: main, dag: {tasks: [{name: a, template: nowhere}]}}
  - {name: other, dag: {tasks: [{name: a, template: ok, depends: b}, {name: b, template: ok, depends: a}]}}
  - {name: ok, container: {image: "debian:12", command: ["true"]}}
"""
    said = found(text)
    assert len(said) == 2
    assert "nowhere" in said[0]
    assert "other" in said[1]


def test_a_template_may_leave_its_entrypoint_and_arguments_open() -> None:
    """A Workflow may not."""
    body = """
metadata: {name: w}
spec:
  arguments: {parameters: [{name: late}]}
  templates:
  - {name: main, container: {image: "debian:12", command: [echo, "{{workflow.parameters.late}}"]}}
"""
    assert found("kind: WorkflowTemplate" + body) == []
    assert len(found("kind: Workflow" + body)) == 2


def test_documents_may_refer_to_one_another() -> None:
    """A Workflow by templateRef to a template beside it; without that it is a problem."""
    template = """
kind: WorkflowTemplate
metadata: {name: lib}
spec: {templates: [{name: say, container: {image: "debian:12", command: ["true"]}}]}
"""
    workflow = """
kind: Workflow
metadata: {name: w}
spec:
  entrypoint: main
  templates: [{name: main, steps: [[{name: a, templateRef: {name: lib, template: say}}]]}]
"""
    assert found(template + "---" + workflow) == []
    assert "lib.say not found" in found(workflow)[0]


def test_a_schedule_of_older_days_is_refused_with_a_clear_word() -> None:
    """And what to write instead."""
    said = found("kind: CronWorkflow\nmetadata: {name: nightly}\nspec: {schedule: '* * * * *', workflowSpec: {}}")
    assert "CronWorkflow nightly.spec.schedule" in said[0]
    assert "write schedules" in said[0]


def test_what_has_its_value_later_is_no_problem() -> None:
    """A template of the exit handler may name failures; metrics may name what the step gives."""
    text = """
kind: Workflow
metadata: {name: w}
spec:
  entrypoint: main
  onExit: last
  templates:
  - name: main
    container: {image: "debian:12", command: ["true"]}
    outputs: {parameters: [{name: made, valueFrom: {path: /tmp/n}}]}
    metrics: {prometheus: [{name: m, help: h, gauge: {value: "{{outputs.parameters.made}}"}}]}
  - {name: last, steps: [[{name: tell, template: tell}]]}
  - {name: tell, container: {image: "debian:12", command: [echo, "{{workflow.failures}}"]}}
"""
    assert found(text) == []
    wrong = text.replace("metrics:", "metadata: {annotations: {at: '{{outputs.parameters.made}}'}}\n    metrics:")
    assert "outputs.parameters.made" in found(wrong)[0]
