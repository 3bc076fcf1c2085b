"""Manifests that are broken, endless or huge: refused in bounded time and memory, with a message, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, load_text
from tiphys.engine.load import load_file

pytestmark = pytest.mark.unit
HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: wf-}\nspec:\n  entrypoint: main\n"
LEAF = '{name: leaf, container: {image: "debian:12", command: ["true"]}}'
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_every_kind_of_broken_text_is_refused(subtests: pytest.Subtests) -> None:
    """The message says what it is, and never is a traceback."""
    broken = {
        "no YAML": ("kind: Workflow\n  spec: [", "is not YAML"),
        "a tab": ("kind: Workflow\n\tspec: {}", "is not YAML"),
        "python objects": ("kind: !!python/object/apply:os.system ['true']", "is not YAML"),
        "no kind": ("spec: {}", "without `kind`"),
        "a key twice": ("kind: Workflow\nkind: Workflow", "given twice"),
        "a list": ("- 1\n- 2", "kind"),
        "a number that JSON lacks": ("kind: Workflow\nspec: {priority: .inf}", "JSON has no such number"),
        "an alias in itself": ("kind: Workflow\nspec: &s {a: *s}", "recursive node"),
        "flow without end": ("kind: Workflow\nspec: " + "[" * 200_000, "nested more than"),
        "blocks without end": (
            "kind: Workflow\nspec:\n" + "".join(" " * n + "a:\n" for n in range(1, 400)),
            "nested more",
        ),
        "dashes without end": ("kind: Workflow\nspec:\n" + "- " * 100_000, "nested more than"),
        "a bomb of aliases": ("kind: Workflow\n" + BOMB, "aliases stand for more than"),
        "a NUL": ("kind: Workflow\nmetadata: {name: 'a\0b'}", "is not YAML"),
    }
    for name, (text, message) in broken.items():
        with subtests.test(name), pytest.raises(ManifestError) as refusal:
            load_text(text)
        with subtests.test(name, about="message"):
            assert message in str(refusal.value)
            assert len(str(refusal.value)) < 2000


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, a folder, nothing at all."""
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00kind")
    for path in (tmp_path / "bytes.yaml", tmp_path, tmp_path / "nowhere.yaml"):
        with pytest.raises(ManifestError, match=path.name):
            load_file(path)


@pytest.mark.parametrize(
    ("main", "message"),
    [
        (f"{{name: main, dag: {{tasks: [{{name: a, inline: {LEAF}, depends: b}}, {{name: b, template: leaf, depends: a}}]}}}}", "cycl"),
        ("{name: main, dag: {tasks: [{name: a, template: leaf, depends: a}]}}", "cycl"),
        ("{name: main, dag: {tasks: [{name: a, template: leaf, depends: nobody}]}}", "nobody"),
        ("{name: main, steps: [[{name: a, templateRef: {name: nowhere, template: x}}]]}", "nowhere"),
        ("{name: main, steps: {a: b}}", "steps"),
        ("{name: main, container: [1, 2]}", "container"),
        ("{name: main, script: {image: 'debian:12', command: [sh], source: {x: y}}}", "source"),
        ("{name: ../../main, steps: [[{name: a, template: leaf}]]}", "main"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_refused_before_anything_runs(tmp_path: Path, main: str, message: str) -> None:
    """The message names the place; the journal has no run."""
    engine = Engine(tmp_path)
    with pytest.raises(ManifestError) as refusal:
        engine.submit(load_text(f"{HEAD}  templates:\n  - {main}\n  - {LEAF}\n"))
    assert message in str(refusal.value)
    assert not list(engine.journal.runs())


def test_a_loop_over_a_billion_ends_in_error(machine: Any) -> None:
    """As on Argo the group is in Error and the workflow has failed; nothing of it is made."""
    looping = machine(
        "  - name: main\n    steps: [[{name: a, template: leaf, withSequence: {count: '1000000000'}}]]\n"
        f"  - {LEAF}\n"
    )
    looping.tell()
    assert (looping.run.phase, looping.started) == ("Failed", [])
    assert "100,000 at most" in looping.run.message


@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "-rf", "A", "x" * 300, "a\nb", "", "é"])
def test_a_run_is_not_named_like_a_path_or_an_option(tmp_path: Path, name: str) -> None:
    """A name becomes files and arguments, so it is one of Kubernetes' names."""
    engine = Engine(tmp_path / "state")
    document = load_text(f"{HEAD}  templates:\n  - {LEAF.replace('leaf', 'main', 1)}\n")
    document[0]["metadata"] = {"name": name} if name else {"name": "", "generateName": "../x-"}
    with pytest.raises(ManifestError):
        engine.submit(document)
    assert not list(engine.journal.runs())


def test_a_manifest_of_ten_megabytes_is_checked_like_a_small_one(tmp_path: Path) -> None:
    """Three thousand tasks in a chain, each with an argument of three kilobytes; then one more has a mistake, which is found."""
    tasks = [
        f"      - {{name: t{n}, template: leaf, arguments: {{parameters: [{{name: p, value: '{'x' * 3300}'}}]}}"
        + (f", depends: t{n - 1}" if n else "")
        + "}\n"
        for n in range(3000)
    ]
    body = "".join(tasks)
    leaf = LEAF.replace("{name: leaf,", "{name: leaf, inputs: {parameters: [{name: p}]},")
    text = f"{HEAD}  templates:\n  - {leaf}\n  - name: main\n    dag:\n      tasks:\n{body}"
    assert len(text) > 10_000_000
    engine, documents = Engine(tmp_path), load_text(text)
    engine.check(documents)
    documents[0]["spec"]["templates"][1]["dag"]["tasks"].append(
        {"name": "last", "template": "nobody", "depends": "t2999"}
    )
    with pytest.raises(ManifestError, match="nobody"):
        engine.check(documents)
