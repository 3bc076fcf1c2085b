"""What Argo's validation refuses is refused before anything runs, in Argo's words; what it takes is taken.

Each case was given to Argo's own linter (`argo lint --offline`, v4.1.2); where Kubernetes is the one who refuses, the case says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, load_text
from tiphys.engine.engine import random_name
from tiphys.engine.lint import problems
from tiphys.engine.shapes import check_run_name

pytestmark = pytest.mark.unit
RUN = 'container: {image: "debian:12", command: ["true"]}'
CALL = "steps: [[{name: a, template: leaf}]]"
TASK = "dag: {tasks: [{name: a, template: leaf}]}"
RAW = "raw: {data: x}"


def workflow(main: str, spec: str = "") -> list[dict[str, Any]]:
    """A Workflow whose template `main` has these fields, beside a plain `leaf`."""
    return load_text(
        f"kind: Workflow\nmetadata: {{name: w}}\nspec:\n  entrypoint: main\n  {spec}\n  templates:\n"
        f"  - {{name: main, {main}}}\n  - {{name: leaf, {RUN}}}\n"
    )


def mounts(kind: str, *paths: str) -> str:
    """A container or script that mounts the volume `v` at these paths."""
    listed = ", ".join(f"{{name: v, mountPath: {path}}}" for path in paths)
    return f'{kind}: {{image: "debian:12", command: ["true"], volumeMounts: [{listed}]}}'


V = "volumes: [{name: v, emptyDir: {}}], "
NAME = "Parameter/Artifact name must consist of alpha-numeric characters, '_' or '-'"
REFUSED = [
    (f"timeout: 5s, {CALL}", "Steps template doesn't support timeout field"),
    (f"timeout: 5s, {TASK}", "DAG template doesn't support timeout field"),
    ("timeout: 5s, suspend: {}", "Suspend template doesn't support timeout field"),
    (f"pendingTimeout: 5s, {CALL}", "Steps template doesn't support pendingTimeout field"),
    (f'timeout: "5", {RUN}', "main has invalid duration format in timeout"),
    (f"timeout: 5, {RUN}", "main has invalid duration format in timeout"),
    (f"activeDeadlineSeconds: 5, {CALL}", "templates.main.activeDeadlineSeconds is only valid for leaf templates"),
    (f"activeDeadlineSeconds: 5, {TASK}", "templates.main.activeDeadlineSeconds is only valid for leaf templates"),
    (f"activeDeadlineSeconds: -5, {RUN}", "activeDeadlineSeconds must be a positive integer > 0 or an argo variable"),
    (f"activeDeadlineSeconds: abc, {RUN}", "activeDeadlineSeconds must be a positive integer > 0 or an argo variable"),
    (f"{V}{mounts('container', '/x', '/x')}", "templates.main.container.volumeMounts[1].mountPath '/x' already mounted in container.volumeMounts.v"),
    (f"{V}{mounts('script', '/x', '/x')}", "templates.main.script.volumeMounts[1].mountPath '/x' already mounted"),  # Kubernetes
    (f"{V}inputs: {{artifacts: [{{name: a, path: /x, {RAW}}}]}}, {mounts('container', '/x')}", "templates.main.inputs.artifacts[0].path '/x' already mounted in container.volumeMounts.v"),
    (mounts("container", "/x"), 'templates.main.container.volumeMounts[0].name: Not found: "v"'),  # Kubernetes
    (f"inputs: {{artifacts: [{{name: a, path: /x, {RAW}}}]}}, {CALL}", "templates.main.inputs.artifacts.a.path only valid in container/script templates"),
    (f'inputs: {{artifacts: [{{name: a, path: /x, from: "{{{{workflow.name}}}}", {RAW}}}]}}, {RUN}', "templates.main.inputs.artifacts.a.from not valid in inputs"),
    (f"inputs: {{artifacts: [{{name: a, {RAW}}}]}}, {RUN}", "error in templates.main.inputs.artifacts.a: Artifact 'a' did not specify a path"),
    (f"outputs: {{parameters: [{{name: p, value: x, valueFrom: {{path: /x}}}}]}}, {RUN}", "templates.main.outputs.parameters.p has both valueFrom and value specified, choose one"),
    (f'outputs: {{parameters: [{{name: p, valueFrom: {{path: /x, parameter: "{{{{workflow.name}}}}"}}}}]}}, {RUN}', "multiple valueFrom types specified"),
    (f'outputs: {{parameters: [{{name: p, valueFrom: {{expression: "1", parameter: "{{{{workflow.name}}}}"}}}}]}}, {CALL}', "multiple valueFrom types specified"),
    (f"outputs: {{parameters: [{{name: p, valueFrom: {{default: x}}}}]}}, {RUN}", "valueFrom type unspecified. choose one of"),
    (f'outputs: {{parameters: [{{name: p, globalName: "a b", valueFrom: {{path: /x}}}}]}}, {RUN}', f"templates.main.outputs.parameters.p.globalName: {NAME}"),
    (f'outputs: {{artifacts: [{{name: p, globalName: "a b", path: /x}}]}}, {RUN}', f"templates.main.outputs.artifacts.p.globalName: {NAME}"),
    (f'outputs: {{artifacts: [{{name: p, path: /x, from: "{{{{tasks.a.outputs.artifacts.p}}}}"}}]}}, {TASK}', "templates.main.outputs.artifacts.p.path only valid in container/script templates"),
    (f'outputs: {{artifacts: [{{name: p, from: "{{{{tasks.zz.outputs.artifacts.p}}}}"}}]}}, {TASK}', "failed to resolve {{tasks.zz.outputs.artifacts.p}}"),
    ("steps: [[{name: a, template: leaf, arguments: {parameters: [{name: p, value: z, enum: [q]}]}}]]", "templates.main.steps[0].a.arguments.p.value should be present in templates.main.steps[0].a.arguments.p.enum list"),
    ("steps: [[{name: a, template: leaf, arguments: {parameters: [{name: p, value: z}, {name: p, value: y}]}}]]", "templates.main.steps[0].a.arguments.parameters[1].name 'p' is not unique"),
    ("steps: [[{name: a, template: leaf, arguments: {artifacts: [{name: p}]}}]]", "templates.main.steps[0].a.arguments.p.from, artifact location, or key is required"),
    ('steps: [[{name: a, template: leaf, arguments: {artifacts: [{name: p, fromExpression: "x"}]}}]]', "arguments.p.from, artifact location, or key is required"),
    ('steps: [[{name: a, template: leaf, arguments: {artifacts: [{name: p, from: "{{workflow.name}}", fromExpression: "x"}]}}]]', "templates.main.steps[0].a.arguments.p shouldn't have both `from` and `fromExpression` in Artifact"),
    ('steps: [[{name: a, template: leaf, hooks: {exit: {template: leaf, arguments: {parameters: [{name: q, value: "{{steps.zz.outputs.result}}"}]}}}}]]', "failed to resolve {{steps.zz.outputs.result}}"),
    (f"steps: [[{{name: {'a' * 129}, template: leaf}}]]", "must be no more than 128 characters"),
    ("steps: [[{name: '', template: leaf}]]", "templates.main.steps[0].name is required"),
    ('steps: [[{name: "a b-{{workflow.name}}", template: leaf}]]', "name 'a b-{{workflow.name}}' is invalid"),
    (f"suspend: {{}}, {RUN}", "templates.main multiple template types specified"),
    ("inputs: {}", "template 'main' type is unknown"),
]  # fmt: skip
TAKEN = [
    f"timeout: 5s, {RUN}",
    f"activeDeadlineSeconds: 0, {RUN}",
    "activeDeadlineSeconds: 5, suspend: {}",
    f'activeDeadlineSeconds: "{{{{workflow.name}}}}", {RUN}',
    f"{V}inputs: {{artifacts: [{{name: a, path: /x, {RAW}}}]}}, {mounts('script', '/x')}",
    f'outputs: {{parameters: [{{name: p, globalName: "a-{{{{workflow.name}}}}", valueFrom: {{path: /x}}}}]}}, {RUN}',
    f"suspend: {{}}, inputs: {{artifacts: [{{name: a, {RAW}}}]}}",
    "suspend: {}, outputs: {parameters: [{name: x, valueFrom: {supplied: {}}}, {name: z, value: z}]}",
    f"inputs: {{parameters: [{{name: p, value: x, enum: [a]}}]}}, {RUN}",
    'steps: [[{name: a, template: leaf, hooks: {exit: {template: leaf, arguments: {parameters: [{name: q, value: "{{steps.a.status}}"}]}}}}]]',
    "steps: [[{name: a-, template: leaf}]]",
    "steps: []",
    'inputs: {parameters: [{name: t, value: "5"}]}, steps: [[{name: "a-{{inputs.parameters.t}}", template: leaf}]]',
    'inputs: {parameters: [{name: t, value: "5"}]}, dag: {tasks: [{name: "a-{{inputs.parameters.t}}", template: leaf}]}',
]


@pytest.mark.parametrize(("main", "message"), REFUSED)
def test_what_argo_refuses_is_refused(tmp_path: Path, main: str, message: str) -> None:
    """The message has Argo's words and its place; lint says the same."""
    engine = Engine(tmp_path)
    with pytest.raises(ManifestError) as refusal:
        engine.check(workflow(main))
    assert message in str(refusal.value)
    assert message in "".join(problems(workflow(main)[0], engine.objects.get, engine.images))


@pytest.mark.parametrize("main", TAKEN)
def test_what_argo_takes_is_taken(tmp_path: Path, main: str) -> None:
    """Lint has nothing against it."""
    engine = Engine(tmp_path)
    engine.check(workflow(main))
    assert problems(workflow(main)[0], engine.objects.get, engine.images) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("arguments: {parameters: [{name: p, valueFrom: {path: /x}}]}", "spec.arguments.p.valueFrom only allows: default, configMapKeyRef and supplied"),
        ("arguments: {parameters: [{name: p, valueFrom: {default: x}}]}", "spec.arguments.p.valueFrom only allows"),
        ('arguments: {parameters: [{name: p, valueFrom: {expression: "1"}}]}', "spec.arguments.p.valueFrom only allows"),
        ("arguments: {parameters: [{name: p, value: x, enum: [a]}]}", "spec.arguments.p.value should be present in spec.arguments.p.enum list"),
        ("arguments: {parameters: [{name: p, value: x}, {name: p, value: y}]}", "spec.arguments.parameters[1].name 'p' is not unique"),
        ("arguments: {artifacts: [{name: p}]}", "spec.arguments.p.from, artifact location, or key is required"),
        ("onExit: nobody", "spec.onExit template name 'nobody' undefined"),
    ],
)  # fmt: skip
def test_what_argo_refuses_of_a_spec_is_refused(tmp_path: Path, spec: str, message: str) -> None:
    """With the place that is wrong."""
    with pytest.raises(ManifestError) as refusal:
        Engine(tmp_path).check(workflow(RUN, spec))
    assert message in str(refusal.value)


def test_a_template_of_a_library_may_mount_what_its_workflow_declares(tmp_path: Path) -> None:
    """A WorkflowTemplate alone is no pod yet; a Workflow that uses it is."""
    engine = Engine(tmp_path)
    library = load_text(
        f"kind: WorkflowTemplate\nmetadata: {{name: lib}}\nspec: {{templates: [{{name: use, {mounts('container', '/x')}}}]}}"
    )[0]
    assert problems(library, engine.objects.get, engine.images) == []
    call = "steps: [[{name: a, templateRef: {name: lib, template: use}}]]"
    engine.check([library, *workflow(call, "volumes: [{name: v, emptyDir: {}}]")])
    with pytest.raises(ManifestError, match="Not found"):
        engine.check([library, *workflow(call)])


def test_a_name_has_63_characters_at_most(tmp_path: Path) -> None:
    """It is the value of a label; a longer generateName is cut, as on a cluster."""
    documents = workflow(RUN)
    documents[0]["metadata"]["name"] = "a" * 64
    with pytest.raises(
        ManifestError, match=r"workflow name .* must not be more than 63 characters long \(currently 64\)"
    ):
        Engine(tmp_path).check(documents)
    with pytest.raises(ManifestError, match="must not be more than 63"):
        check_run_name("a" * 64)
    check_run_name("a" * 63)
    assert len(random_name("a" * 70)) == 63
