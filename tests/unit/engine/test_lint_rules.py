"""Each rule of lint finds what it is for, and nothing that a real Argo ran well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiphys.engine.images import ImageTable, machine_images
from tiphys.engine.lint import finder
from tiphys.engine.linting.check import findings
from tiphys.engine.linting.lines import lines_of
from tiphys.engine.linting.rules import ERROR, RULES, Finding
from tiphys.engine.load import load_text
from tiphys.secret_guesses import open_secrets, random_looking

pytestmark = pytest.mark.unit
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "argo"
RUN = 'container: {image: "debian:12", command: ["true"]}'
SECURITY = ("parameter-in-code", "open-secret")


def found(text: str) -> list[Finding]:
    """What is found in all documents of a text."""
    documents, lines = load_text(text), lines_of(text)
    find = finder(documents, lambda _kind, _name: None)
    images = ImageTable(machine_images())
    return [each for at, document in enumerate(documents) for each in findings(document, find, images, lines[at])]


def workflow(*templates: str, spec: str = "") -> str:
    """A Workflow with these templates, each on a line of its own from line 6 on; `main` is the first to run."""
    listed = "".join(f"  - {{{each}}}\n" for each in templates)
    return f"kind: Workflow\nmetadata: {{name: w}}\nspec:\n  entrypoint: main{spec}\n  templates:\n{listed}"


def rules(text: str) -> list[tuple[str, int]]:
    """Rule and line of each finding."""
    return [(each.rule, each.line) for each in found(text)]


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.yaml")), ids=lambda file: file.stem)
def test_what_argo_did_is_what_lint_says(file: Path) -> None:
    """It has an error, with a line, for what Argo refuses, and none but of security for what ran to success there."""
    recorded = json.loads(file.with_suffix(".json").read_text())
    errors = [each for each in found(file.read_text()) if each.severity == ERROR and each.rule not in SECURITY]
    if "rejected" in recorded:
        assert errors
        assert all(each.line for each in errors)
    elif recorded.get("phase") == "Succeeded":
        assert not errors


@pytest.mark.parametrize(
    "template",
    [
        'script: {image: "python:3.12", command: [python], source: "print({{inputs.parameters.x}})"}',
        'container: {image: "debian:12", command: [sh, -c], args: ["echo {{inputs.parameters.x}}"]}',
        'container: {image: "debian:12", command: [/bin/bash], args: [-ec, "echo {{ inputs.parameters.x }}"]}',
        'container: {image: "debian:12", command: [sh, -ce, "echo {{inputs.parameters.x}}"]}',
        'container: {image: "debian:12", command: [bash, -cx], args: ["echo {{inputs.parameters.x}}"]}',
        'container: {image: "debian:12", command: [sh, -c, -e, --, "echo {{inputs.parameters.x}}"]}',
        'container: {image: "debian:12", command: [bash, -ceuo, pipefail, "echo {{inputs.parameters.x}}"]}',
        'container: {image: "debian:12", command: [env, A=b, python3.12, -c, "{{workflow.parameters.x}}"]}',
        'container: {image: "debian:12", command: [node, --eval, "{{=inputs.parameters.x}}"]}',
        'containerSet: {containers: [{name: a, image: "debian:12", command: [sh, -c, "{{inputs.parameters.x}}"]}]}',
        f'sidecars: [{{name: a, image: "debian:12", command: [sh, -c, "{{{{inputs.parameters.x}}}}"]}}], {RUN}',
    ],
)
def test_a_value_pasted_into_a_program_is_found(template: str) -> None:
    """In a script's source, and in the word that an interpreter takes as its program."""
    spec = "\n  arguments: {parameters: [{name: x, value: y}]}"
    text = workflow(f"name: main, inputs: {{parameters: [{{name: x, value: y}}]}}, {template}", spec=spec)
    assert rules(text) == [("parameter-in-code", 7)]


@pytest.mark.parametrize(
    "template",
    [
        'script: {image: "python:3.12", command: [python], source: "print({{workflow.name}}, {{pod.name}})"}',
        'script: {image: "python:3.12", command: [python], args: [-m, runner], source: "{{inputs.parameters}}"}',
        'container: {image: "debian:12", command: [sh, -c, \'echo "$1"\', _, "{{inputs.parameters.x}}"]}',
        'container: {image: "debian:12", command: [sh, -ce, \'echo "$1"\', _, "{{inputs.parameters.x}}"]}',
        'container: {image: "debian:12", command: [grep, -c, "{{inputs.parameters.x}}"]}',
        'container: {image: "debian:12", command: [sh, -c, "cat {{inputs.artifacts.a.path}}"]}',
        'container: {image: "debian:12", command: [sh, -c, "echo $X"], env: [{name: X, value: "{{inputs.parameters.x}}"}]}',
    ],
)
def test_what_is_no_code_or_not_from_outside_is_let_be(template: str) -> None:
    """Names that Argo makes, paths of the manifest, arguments after the program, the data of Hera's runner."""
    inputs = "inputs: {parameters: [{name: x, value: y}], artifacts: [{name: a, path: /tmp/a, raw: {data: z}}]}"
    assert rules(workflow(f"name: main, {inputs}, {template}")) == []


def test_an_annotation_says_what_does_not_count() -> None:
    """For one template or for all; what would be refused can't be ignored."""
    code = 'container: {image: "debian", command: [sh, -c, "echo {{inputs.parameters.x}}"]}'
    main = f"name: main, inputs: {{parameters: [{{name: x, value: y}}]}}, {code}"
    text = workflow(main)
    assert [rule for rule, _ in rules(text)] == ["floating-image", "parameter-in-code"]
    own = workflow(f'{main}, annotations: {{tiphys/lint-ignore: "parameter-in-code"}}')
    assert [rule for rule, _ in rules(own)] == ["floating-image"]
    every = text.replace(
        "{name: w}", '{name: w, annotations: {tiphys/lint-ignore: "floating-image, parameter-in-code, invalid"}}'
    )
    assert rules(every) == []
    assert rules(every.replace("container", "containr"))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("debian", True), ("debian:latest", True), ("docker.io/library/debian", True), ("debian:12", False),
        (f"debian@sha256:{'0' * 64}", False), ("'debian:{{workflow.name}}'", False),
    ],
)  # fmt: skip
def test_an_image_that_changes_is_a_warning(image: str, expected: bool) -> None:  # noqa: FBT001
    """A digest or a tag that says a version is none."""
    said = found(workflow(f"name: main, container: {{image: {image}, command: ['true']}}"))
    assert ["floating-image"] * expected == [each.rule for each in said if each.rule != "not-here"]


LIBRARY = """kind: WorkflowTemplate
metadata: {name: lib}
spec: {templates: [{name: say, inputs: {parameters: [{name: v}]}, container: {image: "debian:12", command: ["true"]}}]}
---
"""


def test_arguments_of_a_template_elsewhere_are_checked() -> None:
    """One that it lacks is an error, one that it does not take a warning, each at its line."""
    call = "name: main, steps: [[{name: a, templateRef: {name: lib, template: say}, arguments: {parameters: [%s]}}]]"
    assert rules(LIBRARY + workflow(call % "{name: v, value: x}")) == []
    assert rules(LIBRARY + workflow(call % "")) == [("missing-argument", 10)]
    wrong = rules(LIBRARY + workflow(call % "{name: v, value: x}, {name: w, value: x}"))
    assert wrong == [("unknown-argument", 10)]


def test_references_that_nothing_resolves_are_all_found() -> None:
    """Of tasks that are no ancestors, undeclared outputs, names in expressions, and outputs of the workflow."""
    text = """kind: Workflow
metadata: {name: w}
spec:
  entrypoint: main
  templates:
  - name: main
    dag:
      tasks:
      - {name: a, template: leaf, arguments: {parameters: [{name: v, value: "{{tasks.b.outputs.result}}"}]}}
      - {name: b, template: leaf, arguments: {parameters: [{name: v, value: "{{=tasks.a.outputs.parameters.o}}"}]}}
      - name: c
        depends: a
        template: leaf
        arguments:
          parameters:
          - {name: v, value: "{{tasks.a.outputs.parameters.zz}}"}
          - {name: w, value: "{{workflow.outputs.parameters.nobody}} {{workflow.outputs.parameters.made}}"}
          - {name: x, value: "{{=inputs.parameters.gone}} {{=tasks.a.outputs.parameters.o}}"}
  - name: leaf
    inputs: {parameters: [{name: v}, {name: w, value: ""}, {name: x, value: ""}]}
    container: {image: "debian:12", command: ["true"]}
    outputs: {parameters: [{name: o, globalName: made, valueFrom: {path: /tmp/o}}]}
"""
    assert rules(text) == [
        ("unresolved-reference", 9), ("unresolved-expression", 10), ("unresolved-reference", 16), ("no-such-output", 17),
        ("unresolved-expression", 18),
    ]  # fmt: skip


def test_a_template_that_nothing_calls_is_a_warning() -> None:
    """In a Workflow; a library may be called from elsewhere."""
    assert rules(workflow(f"name: main, {RUN}", f"name: other, {RUN}")) == [("unused-template", 7)]
    assert rules(LIBRARY) == []


def test_a_script_s_own_line_is_named() -> None:
    """The line of the file, not of the template."""
    text = """kind: Workflow
metadata: {name: w}
spec:
  entrypoint: main
  templates:
  - name: main
    inputs: {parameters: [{name: x, value: y}]}
    script:
      image: python:3.12
      command: [python]
      source: |
        import sys
        print("{{inputs.parameters.x}}")
"""
    assert rules(text) == [("parameter-in-code", 13)]


@pytest.mark.parametrize(
    "container",
    [
        {"args": ["--password=hunter2xyz"]},
        {"args": ["--db-password", "hunter2xyz"]},
        {"command": ["sh", "-c", "mysql; export DB_PASSWORD=hunter2xyz"]},
        {"source": "api_key = 'abcdefgh12'"},
        {"args": ["sk_live_abcdefghijklmnopqrst1234"]},
        {"env": [{"name": "X", "value": "hf_abcdefghijklmnopqrstuvwxyzABCDEF"}]},
    ],
)
def test_a_secret_in_the_open_is_found_and_never_repeated(container: dict[str, object]) -> None:
    """By the name beside it, or by its shape."""
    (place, what), *_ = open_secrets({"spec": {"templates": [{"name": "t", "container": container}]}})
    assert "templates[t].container" in place
    assert not any(value in what for value in ("hunter2xyz", "abcdefgh"))


@pytest.mark.parametrize(
    "container",
    [
        {"args": ["--password-file", "/run/secrets/db"]},
        {"args": ["--password={{inputs.parameters.p}}", "--token", "$(TOKEN)"]},
        {"source": "password = os.environ['P']\ntoken = get_token(x)\n"},
        {"env": [{"name": "COMMIT", "value": "0123456789abcdef0123456789abcdef01234567"}]},
        {"command": ["sh", "-c", 'test -n "$PASSWORD"']},
        {"args": ["s3://bucket/a-long-name/of-some-object/that-is-nothing-random"]},
    ],
)
def test_what_only_speaks_of_secrets_is_let_be(container: dict[str, object]) -> None:
    """Files, variables, tags, and digests."""
    document = {"spec": {"templates": [{"name": "t", "container": container}]}}
    assert list(open_secrets(document)) == []
    assert list(random_looking(document)) == []


def test_a_long_random_text_is_a_warning() -> None:
    """It may be a key of a kind that nobody knows."""
    document = {"container": {"env": [{"name": "X", "value": "q7Zt0Lp3XwB9sKfR2mVdYh8NcJ4uGaE1"}]}}
    assert [what for _, what in random_looking(document)] == ["a text of 32 random characters"]


def test_the_workflow_of_a_schedule_is_looked_at() -> None:
    """By the same rules, at its own lines."""
    body = workflow('name: main, container: {image: debian, command: [sh, -c, "echo {{workflow.parameters.x}}"]}')
    spec = body.partition("spec:\n")[2].replace("\n", "\n  ")
    text = "kind: CronWorkflow\nmetadata: {name: c}\nspec:\n  schedules: ['* * * * *']\n  workflowSpec:\n"
    text += f"    arguments: {{parameters: [{{name: x, value: y}}]}}\n  {spec}"
    assert rules(text) == [("floating-image", 9), ("parameter-in-code", 9)]


def test_every_rule_says_what_it_is_for() -> None:
    """And has one of two severities."""
    assert all(rule.about and rule.severity in ("error", "warning") for rule in RULES.values())
