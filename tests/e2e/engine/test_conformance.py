"""The first things that anybody tries on Argo: each shape as small as it can be, with what must be seen of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tiphys.engine import Engine, RunState, load_text

pytestmark = pytest.mark.e2e
HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n  entrypoint: main\n"
SAY = """
  - name: say
    inputs: {parameters: [{name: v}]}
    container: {image: "busybox", command: [echo], args: ["{{inputs.parameters.v}}"]}
"""
FAIL = '  - {name: fail, container: {image: "alpine:3.23", command: [sh, -c], args: ["exit 1"]}}\n'


def task(name: str, template: str = "say", value: str = "", **more: str) -> str:
    """A step or task in one line; `value` is what it says."""
    arguments = f', arguments: {{parameters: [{{name: v, value: "{value or name}"}}]}}' if template == "say" else ""
    return (
        f"{{name: {name}, template: {template}{arguments}{''.join(f', {key}: {text}' for key, text in more.items())}}}"
    )


def dag(*tasks: str, more: str = "") -> str:
    """A template `main` with these tasks."""
    return "  - name: main\n    dag:\n" + more + "      tasks:\n" + "".join(f"      - {each}\n" for each in tasks)


def steps(*groups: list[str], name: str = "main") -> str:
    """A template with these groups of steps."""
    return f"  - name: {name}\n    steps:\n" + "".join(f"    - [{', '.join(group)}]\n" for group in groups)


@dataclass
class Seen:
    """What must be seen: the workflow's phase, steps' phases and messages by display name, what steps printed."""

    phase: str = "Succeeded"
    phases: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


CASES: dict[str, tuple[str, Seen]] = {
    "a single pod is the workflow": (
        'main\n  templates:\n  - {name: main, container: {image: busybox, command: [echo, "hello"]}}',
        Seen(printed={"wf": "hello"}),
    ),
    "arguments reach the entrypoint": (
        "main\n  arguments: {parameters: [{name: v, value: hello}]}\n  templates:\n" + SAY.replace("name: say", "name: main", 1),
        Seen(printed={"wf": "hello"}),
    ),
    "globals are seen everywhere": (
        "main\n  arguments: {parameters: [{name: g, value: all}]}\n  templates:\n"
        + steps([task("a", value="{{workflow.parameters.g}}")]) + SAY,
        Seen(printed={"a": "all"}),
    ),
    "steps come one group after the other": (
        "main\n  templates:\n" + steps([task("one")], [task("two-a"), task("two-b")]) + SAY,
        Seen(phases={"[0]": "Succeeded", "[1]": "Succeeded"}, order=("one", "two-a")),
    ),
    "a diamond": (
        "main\n  templates:\n"
        + dag(task("A"), task("B", depends="A"), task("C", depends="A"), task("D", depends='"B && C"')) + SAY,
        Seen(printed={"D": "D"}, order=("A", "B", "D")),
    ),
    "several roots": (
        "main\n  templates:\n" + dag(task("A"), task("B"), task("C", depends="A"), task("D", depends='"A && B"')) + SAY,
        Seen(order=("B", "D")),
    ),
    "a DAG in a DAG": (
        "main\n  templates:\n" + dag(task("A", "inner"), task("B", "inner", depends="A"))
        + dag(task("P"), task("Q", depends="P")).replace("main", "inner") + SAY,
        Seen(printed={"P": "P", "Q": "Q"}, phases={"A": "Succeeded", "B": "Succeeded"}),
    ),
    "only the targets and what they need run": (
        "main\n  templates:\n"
        + dag(task("A"), task("B"), task("C", depends="A"), task("E", depends="C"), more="      target: E\n") + SAY,
        Seen(phases={"A": "Succeeded", "C": "Succeeded", "E": "Succeeded"}, absent=("B",)),
    ),
    "depends on results": (
        "main\n  templates:\n"
        + dag(
            task("A"), task("B", "fail", depends="A"), task("will", depends="B.Failed"),
            task("either", depends='"B.Succeeded || A.Succeeded"'), task("never", depends="B.Succeeded"),
            task("last", depends='"either.Succeeded || never"'),
        ) + SAY + FAIL,
        Seen(
            phases={"B": "Failed", "will": "Succeeded", "either": "Succeeded", "never": "Omitted", "last": "Succeeded"},
            messages={"never": "omitted: depends condition not met"},
        ),
    ),
    "an omitted leaf takes the phase of its branch": (
        "main\n  templates:\n"
        + dag(
            task("A"), task("B", "fail", depends="A"), task("D", depends="B.Failed"), task("E", "fail", depends="A"),
            task("G", depends='"E && D"'),
        ) + SAY + FAIL,
        Seen("Failed", phases={"D": "Succeeded", "E": "Failed", "G": "Omitted"}, messages={"wf": ""}),
    ),
    "a failure that is forgiven, one pod at a time": (
        "main\n  parallelism: 1\n  templates:\n"
        + steps([task("a")], [task("b", "fail", continueOn="{failed: true}")], [task("c")]) + SAY + FAIL,
        Seen(phases={"b": "Failed", "c": "Succeeded"}),
    ),
    "no fail-fast: every branch comes to its end": (
        "main\n  templates:\n"
        + dag(task("B"), task("C", "flaky"), task("D", depends="B"), more="      failFast: false\n") + SAY
        + FAIL.replace("{name: fail,", "{name: flaky, retryStrategy: {limit: 3},"),
        Seen("Failed", phases={"D": "Succeeded", "C(3)": "Failed"}, messages={"C": "No more retries left"}),
    ),
    "a condition chooses": (
        "main\n  templates:\n"
        + steps(
            [task("flip", "coin")],
            [
                task("heads", when='"{{steps.flip.outputs.result}} == heads"'),
                task("tails", when='"{{steps.flip.outputs.result}} == tails"'),
            ],
        ) + SAY + '  - {name: coin, script: {image: "python:3.12", command: [python3], source: "print(\'tails\')"}}\n',
        Seen(
            phases={"heads": "Skipped", "tails": "Succeeded"},
            messages={"heads": "when 'tails == heads' evaluated false"},
        ),
    ),
    "conditions in their three forms": (
        "main\n  arguments: {parameters: [{name: go, value: always}, {name: doc, value: '{\"a\": [1, 2]}'}]}\n  templates:\n"
        + steps([
            task("plain", when='"{{workflow.parameters.go}} == always && (2 > 1 || false)"'),
            task("regex", when='"{{workflow.parameters.go}} =~ alw"'),
            task("expression", when="\"{{=workflow.parameters.go == 'always'}}\""),
            task("path", when="\"{{=jsonpath(workflow.parameters.doc, '$.a[1]') == 2}}\""),
        ]) + SAY,
        Seen(phases=dict.fromkeys(("plain", "regex", "expression", "path"), "Succeeded")),
    ),
    "scripts give results": (
        "main\n  templates:\n"
        + steps([task("gen", "py"), task("sh", "bash")], [task("use", value="{{steps.gen.outputs.result}}/{{steps.sh.outputs.result}}")])
        + SAY + '  - {name: py, script: {image: "python:3.12", command: [python3], source: "print(6 * 7)"}}\n'
        + '  - {name: bash, script: {image: "debian:12", command: [bash], source: "echo $((40 + 3))"}}\n',
        Seen(printed={"use": "42/43"}),
    ),
    "an output parameter goes on": (
        "main\n  templates:\n" + steps([task("make", "make")], [task("use", value="{{steps.make.outputs.parameters.o}}")])
        + SAY + """
  - name: make
    container: {image: busybox, command: [sh, -c], args: ["echo -n hello world > /tmp/o"]}
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
""",
        Seen(printed={"use": "hello world"}),
    ),
    "an artifact goes on, packed by default": (
        "main\n  templates:\n"
        + steps([task("make", "make")], ["{name: use, template: use, arguments: {artifacts: [{name: a, from: '{{steps.make.outputs.artifacts.a}}'}]}}"])
        + """
  - name: make
    container: {image: busybox, command: [sh, -c], args: ["echo hello world > /tmp/f"]}
    outputs: {artifacts: [{name: a, path: /tmp/f}]}
  - name: use
    inputs: {artifacts: [{name: a, path: /tmp/in}]}
    container: {image: busybox, command: [cat, /tmp/in]}
""",
        Seen(printed={"use": "hello world"}),
    ),
    "a raw artifact and the places of artifacts": (
        "main\n  templates:\n" + steps([task("count", "count")], [task("use", value="{{steps.count.outputs.parameters.left}}")]) + SAY
        + """
  - name: count
    inputs: {artifacts: [{name: lines, path: /tmp/in, raw: {data: "1\\n2\\n3\\n"}}]}
    outputs:
      parameters: [{name: left, valueFrom: {path: /tmp/n}}]
      artifacts: [{name: copy, path: /tmp/copy}]
    container: {image: busybox, command: [sh, -c], args: ["cp {{inputs.artifacts.lines.path}} {{outputs.artifacts.copy.path}}; wc -l < {{inputs.artifacts.lines.path}} > {{outputs.parameters.left.path}}"]}
""",
        Seen(printed={"use": "3"}),
    ),
    "loops name their children by item": (
        "main\n  templates:\n"
        + dag(task("A"), task("B", value="{{item}}", depends="A", withItems="[foo, bar]"), task("C", depends="B")) + SAY,
        Seen(printed={"B(0:foo)": "foo", "B(1:bar)": "bar"}, order=("A", "B(0:foo)", "C")),
    ),
    "loops over maps sort the keys": (
        "main\n  templates:\n"
        + steps([task("t", value="{{item.image}} {{item.tag}}", withItems='[{tag: "9.1", image: debian}]')]) + SAY,
        Seen(printed={"t(0:image:debian,tag:9.1)": "debian 9.1"}),
    ),
    "sequences count": (
        "main\n  arguments: {parameters: [{name: left, value: '2'}]}\n  templates:\n"
        + steps([
            task("count", value="{{item}}", withSequence='{count: "2"}'),
            task("down", value="{{item}}", withSequence='{start: "1", end: "0"}'),
            task("from", value="{{item}}", withSequence='{start: "200", count: "{{workflow.parameters.left}}"}'),
            task("form", value="{{item}}", withSequence='{start: "10", count: "2", format: "user%02X"}'),
        ]) + SAY,
        Seen(printed={
            "count(0:0)": "0", "count(1:1)": "1", "down(0:1)": "1", "down(1:0)": "0",
            "from(1:201)": "201", "form(0:user0A)": "user0A", "form(1:user0B)": "user0B",
        }),
    ),
    "an exit code is a variable": (
        "main\n  templates:\n"
        + steps([task("a", "fail", continueOn="{failed: true}")], [task("b", value="code {{steps.a.exitCode}}")])
        + SAY + FAIL.replace("exit 1", "exit 123"),
        Seen(printed={"b": "code 123"}),
    ),
    "a status is a variable": (
        "main\n  templates:\n"
        + steps(
            [task("a", "fail", continueOn="{failed: true}")],
            [task("bad", when='"{{steps.a.status}} == Failed"'), task("good", when='"{{steps.a.status}} == Succeeded"')],
        ) + SAY + FAIL,
        Seen(phases={"bad": "Succeeded", "good": "Skipped"}),
    ),
    "an exit handler hears how it ended": (
        "main\n  onExit: bye\n  templates:\n" + FAIL.replace("name: fail", "name: main")
        + steps(
            [
                task("notify", value="{{workflow.status}}"),
                task("celebrate", when='"{{workflow.status}} == Succeeded"'),
                task("cry", when='"{{workflow.status}} != Succeeded"'),
            ],
            name="bye",
        ) + SAY,
        Seen(
            "Failed", phases={"notify": "Succeeded", "cry": "Succeeded", "celebrate": "Skipped"},
            messages={"wf": "main: Error (exit code 1)"}, printed={"notify": "Failed"},
        ),
    ),
}  # fmt: skip


def node_named(run: RunState, name: str) -> list[str]:
    """The ids of the nodes shown under this name."""
    return [node.id for node in run.nodes.values() if node.display_name == name]


@pytest.mark.parametrize("case", CASES)
def test_it_is_as_on_argo(case: str, engine: Engine) -> None:
    """Phases, messages, names, order, and what steps printed."""
    text, seen = CASES[case]
    run = engine.run(engine.submit(load_text(HEAD.replace("main\n", text, 1))), handle_signals=False)
    assert run.phase == seen.phase, run.message
    by_name = {node.display_name: node for node in run.nodes.values()}
    assert {name: by_name[name].phase for name in seen.phases} == seen.phases
    assert {name: by_name[name].message for name in seen.messages} == seen.messages
    assert not set(seen.absent) & set(by_name)
    printed = {name: engine.log_path("wf", by_name[name].id).read_text().strip() for name in seen.printed}
    assert printed == seen.printed
    for before, after in zip(seen.order, seen.order[1:], strict=False):
        assert by_name[before].finished <= by_name[after].started


def test_recursion_ends_when_the_condition_does(run: Callable[..., RunState]) -> None:
    """As deep as the countdown is long."""
    result = run(
        HEAD.replace("main\n", "main\n  arguments: {parameters: [{name: left, value: '2'}]}\n  templates:\n", 1)
        + """
  - name: main
    inputs: {parameters: [{name: left}]}
    steps:
    - - name: again
        template: main
        when: "{{inputs.parameters.left}} > 0"
        arguments: {parameters: [{name: left, value: "{{=asInt(inputs.parameters.left) - 1}}"}]}
"""
    )
    assert result.phase == "Succeeded", result.message
    assert sorted(node.phase for node in result.nodes.values() if node.display_name == "again") == [
        "Skipped", "Succeeded", "Succeeded",
    ]  # fmt: skip


def test_an_exit_handler_reads_the_failures(run: Callable[..., RunState], engine: Engine) -> None:
    """One entry of JSON for the one pod that failed."""
    result = run(
        HEAD.replace("main\n", "main\n  onExit: bye\n  templates:\n", 1)
        + FAIL.replace("name: fail", "name: main")
        + """
  - name: bye
    inputs: {artifacts: [{name: f, path: /tmp/f, raw: {data: "{{workflow.failures}}"}}]}
    container: {image: busybox, command: [cat, /tmp/f]}
"""
    )
    bye = next(node for node in result.nodes.values() if node.name == "wf.onExit")
    failures = json.loads(json.loads(engine.log_path("wf", bye.id).read_text()))
    assert [(each["displayName"], each["phase"]) for each in failures] == [("wf", "Failed")]


def test_what_a_nested_workflow_puts_out_is_its_own(run: Callable[..., RunState]) -> None:
    """A parameter and an artifact of an inner step come out of the outer one."""
    result = run(
        HEAD.replace("main\n", "main\n  templates:\n", 1)
        + steps([task("nested", "inner")])
        + steps([task("make", "make")], name="inner")
        + """
    outputs:
      parameters: [{name: p, valueFrom: {parameter: "{{steps.make.outputs.parameters.o}}"}}]
      artifacts: [{name: a, from: "{{steps.make.outputs.artifacts.f}}"}]
  - name: make
    container: {image: busybox, command: [sh, -c], args: ["echo my-output > /tmp/o; echo hello > /tmp/f"]}
    outputs:
      parameters: [{name: o, valueFrom: {path: /tmp/o}}]
      artifacts: [{name: f, path: /tmp/f}]
"""
    )
    nested = next(node for node in result.nodes.values() if node.display_name == "nested")
    assert (nested.outputs or {})["parameters"][0]["value"] == "my-output"
    assert [entry["name"] for entry in (nested.outputs or {})["artifacts"]] == ["a"]
