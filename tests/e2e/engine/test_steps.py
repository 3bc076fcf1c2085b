"""What a step sees: its own files, its own environment, nothing of the caller's."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tiphys.engine import Engine, ManifestError, RunState, load_text
from tiphys.engine.executor import can_make_private_roots

pytestmark = pytest.mark.e2e
Run = Callable[..., RunState]
HEAD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: steps-}
spec:
  entrypoint: main
  templates:
"""


def outputs(run: RunState, step: str) -> dict[str, str]:
    """The output parameters of a step."""
    node = next(node for node in run.nodes.values() if node.display_name == step)
    return {entry["name"]: entry["value"] for entry in (node.outputs or {}).get("parameters", [])}


def test_two_steps_may_write_the_same_absolute_path_at_the_same_time(run: Run) -> None:
    """Two steps may write the same absolute path at the same time."""
    result = run(
        HEAD
        + """
  - name: main
    dag:
      tasks:
      - {name: a, template: write, arguments: {parameters: [{name: v, value: a}]}}
      - {name: b, template: write, arguments: {parameters: [{name: v, value: b}]}}
  - name: write
    inputs: {parameters: [{name: v}]}
    container:
      image: debian:12
      command: [sh, -c]
      args: ["for i in 1 2 3 4 5; do echo {{inputs.parameters.v}} >> /tmp/o; mkdir -p /opt/deep/er /brand-new; echo {{inputs.parameters.v}} >> /opt/deep/er/o; echo {{inputs.parameters.v}} >> /brand-new/o; done"]
    outputs:
      parameters:
      - {name: tmp, valueFrom: {path: /tmp/o}}
      - {name: host, valueFrom: {path: /opt/deep/er/o}}
      - {name: new, valueFrom: {path: /brand-new/o}}
"""
    )
    assert result.phase == "Succeeded", result.message
    for step in "ab":
        assert set(outputs(result, step).values()) == {"\n".join([step] * 5)}
    assert not Path("/opt/deep").exists()
    assert not Path("/brand-new").exists()


def test_a_step_sees_its_secret_and_nothing_of_the_callers_environment(
    run: Run, engine: Engine, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step sees its secret and nothing of the callers environment."""
    monkeypatch.setenv("CALLERS_SECRET", "canary-of-the-caller")
    engine.objects.apply({"kind": "ConfigMap", "metadata": {"name": "tiphys"}, "data": {"TIPHYS_PLACE": "here"}})
    engine.objects.apply(
        {"kind": "Secret", "metadata": {"name": "tiphys-x"}, "stringData": {"KEY": "canary-of-the-step"}}
    )
    result = run(
        HEAD
        + """
  - name: main
    container:
      image: debian:12
      command: [sh, -c]
      args: ["echo $TIPHYS_PLACE > /tmp/place; test \\"$KEY\\" = canary-of-the-step && env | cut -d= -f1 | sort | tr '\\\\n' ' ' > /tmp/names; touch $HOME/writable"]
      envFrom: [{configMapRef: {name: tiphys}}, {secretRef: {name: tiphys-x}}]
    outputs:
      parameters: [{name: place, valueFrom: {path: /tmp/place}}, {name: names, valueFrom: {path: /tmp/names}}]
"""
    )
    assert result.phase == "Succeeded", result.message
    found = outputs(result, result.name)
    assert found["place"] == "here"
    assert "CALLERS_SECRET" not in found["names"]
    for path in state.rglob("*"):
        if path.is_file() and path.name != "objects.db":
            assert b"canary-of-the-caller" not in path.read_bytes(), path
    assert oct((state / "objects.db").stat().st_mode & 0o777) == "0o600"


def test_inputs_arrive_as_one_json_file_and_outputs_leave_as_files(run: Run) -> None:
    """Inputs arrive as one json file and outputs leave as files."""
    nasty = 'it\'s "q" $(HOME) $$ `x`\n; touch /tmp/pwn --flag é'
    result = run(
        HEAD
        + """
  - name: main
    inputs:
      parameters: [{name: a, value: "{{workflow.parameters.a}}"}]
      artifacts:
      - {name: inputs, path: /tmp/tiphys/inputs.json, raw: {data: "{{=sprig.replace('$', '$$', toJson(inputs.parameters))}}"}}
    container: {image: "debian:12", command: [cp, /tmp/tiphys/inputs.json, /tmp/tiphys/outputs/seen]}
    outputs: {parameters: [{name: seen, valueFrom: {path: /tmp/tiphys/outputs/seen}}]}
""",
        a=nasty,
    )
    assert result.phase == "Succeeded", result.message
    assert json.loads(outputs(result, result.name)["seen"]) == {"a": nasty}


def test_an_artifact_goes_from_step_to_step(run: Run, state: Path) -> None:
    """An artifact goes from step to step."""
    result = run(
        HEAD
        + """
  - name: main
    dag:
      tasks:
      - {name: make, template: make}
      - name: use
        depends: make
        template: use
        arguments: {artifacts: [{name: report, from: "{{tasks.make.outputs.artifacts.report}}"}]}
  - name: make
    container: {image: "debian:12", command: [sh, -c], args: ["mkdir -p /tmp/r/sub; echo deep > /tmp/r/sub/f"]}
    outputs: {artifacts: [{name: report, path: /tmp/r, archive: {none: {}}}]}
  - name: use
    inputs: {artifacts: [{name: report, path: /data/in}]}
    container: {image: "debian:12", command: [cp, /data/in/sub/f, /tmp/o]}
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
"""
    )
    assert result.phase == "Succeeded", result.message
    assert outputs(result, "use") == {"o": "deep"}


def test_what_a_step_leaves_running_ends_with_it(run: Run, tmp_path: Path) -> None:
    """What a step leaves running ends with it."""
    lock = Path("/var/tmp") / f"tiphys-left-{os.getpid()}"
    lock.touch()
    result = run(
        HEAD
        + f"""
  - name: main
    container: {{image: "debian:12", command: [sh, -c], args: ["exec 3<> {lock}; flock 3; setsid sleep 987654 & exit 0"]}}
"""
    )
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.unlink()
    assert result.phase == "Succeeded"


def test_without_private_roots_steps_that_share_a_path_take_turns(state: Path) -> None:
    """Without private roots steps that share a path take turns, and leave nothing there."""
    engine = Engine(state, private=False)
    place = Path("/var/tmp") / f"tiphys-turns-{os.getpid()}"
    name = engine.submit(
        load_text(
            HEAD
            + f"""
  - name: main
    dag:
      tasks:
      - {{name: a, template: write, arguments: {{parameters: [{{name: v, value: a}}]}}}}
      - {{name: b, template: write, arguments: {{parameters: [{{name: v, value: b}}]}}}}
  - name: write
    inputs: {{parameters: [{{name: v}}]}}
    container: {{image: "debian:12", command: [sh, -c], args: ["for i in 1 2 3; do echo {{{{inputs.parameters.v}}}} >> {place}; done"]}}
    outputs: {{parameters: [{{name: o, valueFrom: {{path: {place}}}}}]}}
"""
        )
    )
    result = engine.run(name, handle_signals=False)
    assert result.phase == "Succeeded", result.message
    assert {outputs(result, step)["o"] for step in "ab"} == {"a\na\na", "b\nb\nb"}
    assert not place.exists()


def test_a_timeout_ends_the_whole_tree_of_processes(run: Run) -> None:
    """A timeout ends the whole tree of processes."""
    result = run(
        HEAD
        + """
  - name: main
    timeout: 1s
    container: {image: "debian:12", command: [sh, -c], args: ["sleep 987654 & wait"]}
"""
    )
    node = result.nodes[result.name]
    assert (node.phase, node.message) == ("Failed", "Pod was active on the node longer than the specified deadline")


def test_an_image_that_nothing_stands_in_for_is_refused_with_the_remedy(run: Run) -> None:
    """An image that nothing stands in for is refused with the remedy."""
    with pytest.raises(ManifestError, match=r"quay.io/x/y:1.*\[\[image\]\]"):
        run(
            HEAD
            + """
  - name: main
    container: {image: "quay.io/x/y:1", command: ["true"]}
"""
        )


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("section", ["inputs", "outputs"])
def test_a_declared_path_never_takes_away_what_the_machine_has(tmp_path: Path, section: str, private: bool) -> None:  # noqa: FBT001
    """A folder, a file in a kept folder, and a way round by dots: refused with the path, and still there afterwards."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "conftest.py").write_text("x" * 200)
    before = sorted(each.name for each in precious.iterdir())
    for path in (str(precious), f"{precious}/conftest.py", f"/tmp/../{precious}/conftest.py"):
        raw = ", raw: {data: x}" if section == "inputs" else ""
        manifest = (
            HEAD
            + f"""
  - name: main
    {section}: {{artifacts: [{{name: a, path: "{path}"{raw}}}]}}
    container: {{image: "debian:12", command: ["true"]}}
"""
        )
        engine = Engine(tmp_path / "state", private=private, keep=(precious.parent,))
        try:
            result = engine.run(engine.submit(load_text(manifest)), handle_signals=False)
        except ManifestError:
            continue
        if section == "inputs" or not private:
            assert result.phase == "Error", (path, result.message)
            assert path in result.message
        assert sorted(each.name for each in precious.iterdir()) == before
        assert (precious / "conftest.py").stat().st_size > 100


@pytest.mark.skipif(not can_make_private_roots(), reason="this kernel lets nobody make private roots here")
@pytest.mark.parametrize(
    "trace",
    [
        "echo here > /left-behind",
        "echo here > /tmp/left-behind",
        "ln -sfn /left-behind /bin-of-another",
        "mount -t tmpfs none /opt 2>/dev/null && echo here > /opt/left-behind || true",
        "setsid sleep 987653 >/dev/null 2>&1 </dev/null &",
        "kill -TERM 1; kill -USR2 1 || true",
        "mkdir -p /tmp/a/b && chmod 755 /tmp",
    ],
)
def test_nothing_that_a_step_leaves_behind_is_there_for_the_next(state: Path, trace: str) -> None:
    """Whatever a step does to its root, the next one sees a root as new, and no process but its own."""
    look = "ls -d /left-behind /bin-of-another /opt/left-behind /tmp/* 2>/dev/null; grep -l 98765[3] /proc/[0-9]*/cmdline; stat -c %a /tmp"
    engine = Engine(state, slots=1)
    text = (
        HEAD
        + f"""
  - name: main
    steps:
    - - {{name: first, template: look}}
    - - {{name: leaves, template: leaves, continueOn: {{failed: true}}}}
    - - {{name: next, template: look}}
  - name: leaves
    container: {{image: alpine, command: [sh, -c], args: [{json.dumps(trace)}]}}
  - name: look
    container: {{image: alpine, command: [sh, -c], args: [{json.dumps(look + "; true")}]}}
"""
    )
    result = engine.run(engine.submit(load_text(text)), handle_signals=False)
    assert result.phase == "Succeeded", result.message
    logs = {
        node.display_name: engine.log_path(result.name, node.id) for node in result.nodes.values() if node.type == "Pod"
    }
    assert logs["next"].read_text() == logs["first"].read_text()
    assert "1777" in logs["next"].read_text()


def test_an_argument_may_be_as_long_as_the_kernel_lets_it_be(run: Run, engine: Engine) -> None:
    """What is too long for one message to the launcher goes another way."""
    result = run(HEAD + f"  - name: main\n    container: {{image: alpine, command: [printf, {'x' * 120_000}]}}\n")
    assert result.phase == "Succeeded", result.message
    (pod,) = result.nodes.values()
    assert engine.log_path(result.name, pod.id).stat().st_size == 120_000


def test_what_a_step_leaves_in_its_tmp_is_gone_from_the_disk_when_the_run_has_ended(run: Run, state: Path) -> None:
    """Folders of launchers go with them, and the machine's own files stay."""
    text = "  - name: main\n    container: {image: alpine, command: [sh, -c], args: ['mkdir -p /tmp/a/b; echo x > /tmp/a/b/c; ln -s /usr /tmp/l']}\n"
    result = run(HEAD + text)
    assert result.phase == "Succeeded", result.message
    assert [path.name for path in (state / "attempts").iterdir() if path.name != "root"] == []
    assert Path("/usr/bin").is_dir()
