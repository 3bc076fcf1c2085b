"""A step that failed runs once more, alone: the same end, a fix tried, a debugger, and no secret in what it left."""

from __future__ import annotations

import json
import stat
import tarfile
from pathlib import Path

import pytest

from tests.e2e.replay.conftest import Tiphys

pytestmark = pytest.mark.e2e
CANARIES = ("canary-S3cr3t+/x", "Y2FuYXJ5LVMzY3IzdCsve", "line-two-of-a-key", "plain-canary-token", "hunter2hunter2")
SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: "canary-S3cr3t+/x", pem: "line-one-of-a-key\\nline-two-of-a-key\\n"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {mode: fast}
---
"""
FAILS = (
    SECRET
    + """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: fails-}
spec:
  entrypoint: main
  arguments: {parameters: [{name: who, value: bob}, {name: db-password, value: hunter2hunter2}]}
  templates:
  - name: main
    steps:
    - - {name: make, template: make}
    - - name: divide
        template: divide
        arguments:
          parameters: [{name: by, value: "3"}, {name: leak, value: "{{steps.make.outputs.parameters.leak}}"}]
          artifacts:
          - {name: data, from: "{{steps.make.outputs.artifacts.data}}"}
          - {name: leaked, from: "{{steps.make.outputs.artifacts.leaked}}"}
  - name: make
    container:
      image: debian:12
      command: [sh, -c]
      args: ["mkdir /tmp/d; echo hello > /tmp/d/a; printf %s \\"$P\\" | tee /tmp/leak > /tmp/leaked"]
      env: [{name: P, valueFrom: {secretKeyRef: {name: db, key: password}}}]
    outputs:
      parameters: [{name: leak, valueFrom: {path: /tmp/leak}}]
      artifacts: [{name: data, path: /tmp/d}, {name: leaked, path: /tmp/leaked}]
  - name: divide
    retryStrategy: {limit: 4}
    inputs:
      parameters: [{name: by}, {name: leak}]
      artifacts: [{name: data, path: /tmp/in}, {name: leaked, path: /tmp/leaked}]
    volumes: [{name: keys, secret: {secretName: db}}]
    script:
      image: python:3.12
      command: [python]
      env:
      - {name: P, valueFrom: {secretKeyRef: {name: db, key: password}}}
      - {name: API_TOKEN, value: plain-canary-token}
      - {name: MODE, valueFrom: {configMapKeyRef: {name: conf, key: mode}}}
      envFrom: [{secretRef: {name: db}}]
      volumeMounts: [{name: keys, mountPath: /keys}]
      source: |
        import os, base64
        print("mode", os.environ["MODE"], open("/tmp/in/a").read(), os.environ["API_TOKEN"], "{{workflow.parameters.who}}")
        print(os.environ["P"], base64.b64encode(os.environ["P"].encode()).decode(), open("/keys/pem").read())
        print("{{workflow.parameters.db-password}}")
        assert "{{inputs.parameters.leak}}" == os.environ["P"] == open("/tmp/leaked").read()
        number = int("{{inputs.parameters.by}}")
        result = 10 / (number - 3)
        open("/tmp/out", "w").write(str(result))
        print("fine", result)
    outputs:
      parameters: [{name: result, valueFrom: {path: /tmp/out}}]
      artifacts: [{name: file, path: /tmp/out, archive: {none: {}}}]
"""
)


def content(capsule: Path) -> bytes:
    """All bytes of a capsule, opened; its inputs, too."""
    with tarfile.open(capsule) as archive:
        found = b""
        for member in archive:
            opened = archive.extractfile(member)
            assert opened is not None
            part = opened.read()
            if member.name.startswith("inputs/"):
                inner = capsule.with_suffix(".inner")
                inner.write_bytes(part)
                with tarfile.open(inner) as files:
                    part = b"".join(each.read() for each in map(files.extractfile, files) if each is not None)
                inner.unlink()
            found += part
    return found


def test_the_failure_comes_again_and_changed_inputs_mend_it(tiphys: Tiphys) -> None:
    """The last attempts keep a capsule; the run stays as it was, and outputs lie in the folder that is named."""
    run = tiphys.run(FAILS)
    assert len(tiphys.capsules()) == 3, "of five attempts"
    before = tiphys("get", run, "-o", "json")
    again = tiphys("replay", run, code=1)
    assert "mode fast hello" in again
    assert "plain-canary-token bob" in again
    assert "exit code: 1, as the first time" in again
    assert "last line: as the first time: ZeroDivisionError: division by zero" in again
    mended = tiphys("replay", "@latest", "divide", "-p", "by=5")
    assert "fine 5.0" in mended
    assert "output    result = 5.0" in mended
    (path,) = [line.split(": ", 1)[1] for line in mended.splitlines() if line.startswith("output    file: ")]
    assert Path(path).read_text() == "5.0"
    assert Path(path).is_relative_to(tiphys.state / "replays")
    assert "mode slow" in tiphys("replay", run, "--env", "MODE=slow", code=1)
    tiphys.capsules()[-1].write_bytes(b"damaged")
    assert "from the journal" in tiphys("replay", run, "--dry-run")
    assert tiphys("get", run, "-o", "json") == before


def test_a_capsule_holds_no_secret_and_goes_with_its_run(tiphys: Tiphys) -> None:
    """Neither of the environment, nor of a file, nor one that came as a parameter, as an artifact, or in the log."""
    run = tiphys.run(FAILS)
    for capsule in tiphys.capsules():
        assert stat.S_IMODE(capsule.stat().st_mode) == 0o600
        held = content(capsule)
        assert b"hello" in held, "the other input is kept by content"
        assert not [canary for canary in CANARIES if canary.encode() in held]
    shown = tiphys("replay", run, "--dry-run")
    assert not [canary for canary in CANARIES if canary in shown]
    assert "secret    db/password" in shown
    tiphys("delete", run)
    assert tiphys.capsules() == []


def test_a_capsule_from_elsewhere_is_shown_before_it_runs(tiphys: Tiphys, tmp_path: Path) -> None:
    """With all that it runs; what is withheld is named, and a Secret of this machine it gets only then."""
    tiphys.run(FAILS)
    foreign = tmp_path / "foreign.tgz"
    foreign.write_bytes(tiphys.capsules()[-1].read_bytes())
    refused = tiphys("replay", str(foreign), code=2)
    assert "result = 10 / (number - 3)" in refused
    assert "not of this machine's own runs" in refused
    assert "mode fast" not in refused
    shown, code = tiphys.talk(["replay", str(foreign)], ("[y/N]", "n"))
    assert code == 2
    assert "nothing was run" in shown
    again = tiphys("replay", str(foreign), "--yes", "--env", "API_TOKEN=given", code=1)
    assert "mode fast hello" in again
    assert "given bob" in again


def test_a_step_that_says_that_it_has_effects_is_asked_about(tiphys: Tiphys) -> None:
    """Because a replay has them again."""
    text = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: sends-}
spec:
  entrypoint: main
  templates:
  - name: main
    metadata: {annotations: {tiphys/effects: external}}
    container: {image: "debian:12", command: [sh, -c, "echo sent; exit 7"]}
"""
    run = tiphys.run(text)
    assert "give --yes" in tiphys("replay", run, code=2)
    assert "exit code: 7, as the first time" in tiphys("replay", run, "-y", code=1)


def test_the_debugger_stands_where_it_raised(tiphys: Tiphys) -> None:
    """And under the debugger the program stops at a breakpoint; a terminal is what both have."""
    run = tiphys.run(FAILS)
    shown, code = tiphys.talk(["replay", run, "--debug"], ("(Pdb)", "p number, number - 3"), ("(Pdb)", "q"))
    assert "(3, 0)" in shown
    assert "ZeroDivisionError" in shown
    assert code == 1
    turns = [("(Pdb)", "b 7"), ("(Pdb)", "c"), ("(Pdb)", "!number = 13"), ("(Pdb)", "c"), ("(Pdb)", "q")]
    shown, _ = tiphys.talk(["replay", run, "--debugger"], *turns)
    assert "fine 1.0" in shown


def test_a_shell_has_the_inputs_of_the_step(tiphys: Tiphys) -> None:
    """In the step's own root, with its environment."""
    run = tiphys.run(FAILS)
    shown, code = tiphys.talk(
        ["replay", run, "--shell"], ("# ", "cat /tmp/in/a; echo mode=$MODE; tty"), ("# ", "exit 3")
    )
    assert "hello" in shown
    assert "mode=fast" in shown
    assert "/dev/pts/" in shown
    assert code == 1
    assert "--shell" in tiphys("replay", run, "make", "--debug", code=2)


def test_a_fix_in_the_live_code_is_tried(tiphys: Tiphys) -> None:
    """The step of a checkout runs the code that is there now."""
    text = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: live-}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: tiphys/x:1, command: [python, PROGRAM]}
"""
    (tiphys.home / "program.py").write_text("raise SystemExit('not yet')\n")
    run = tiphys.run(text.replace("PROGRAM", str(tiphys.home / "program.py")))
    assert "last line: as the first time: not yet" in tiphys("replay", run, code=1)
    (tiphys.home / "program.py").write_text("print('now')\n")
    mended = tiphys("replay", run)
    assert "now" in mended
    assert "exit code: 0, not 1" in mended


def test_an_exported_workflow_is_replayed(tiphys: Tiphys, tmp_path: Path) -> None:
    """What it does not hold comes from this machine, and is said; a step that succeeded can be run again, too."""
    run = tiphys.run(FAILS)
    file = tmp_path / "run.json"
    exported = json.loads(tiphys("get", run, "-o", "json"))
    file.write_text(json.dumps(exported))
    said = tiphys("replay", str(file), "divide", "--yes", code=1)
    assert "ZeroDivisionError" in said
    assert "exit code: 1, as the first time" in said
    assert "taken from this machine, because a run does not hold them: ConfigMap conf" in said
    assert "exit code: 0, as the first time" in tiphys("replay", run, "make")
    for broken in (
        {},
        {"nodes": {}},
        {"nodes": {"a": {}}},
        {"nodes": []},
        {"nodes": {"a": {"id": "../a", "type": "Pod"}}},
    ):
        file.write_text(json.dumps({**exported, "status": broken}))
        assert "tiphys replay:" in tiphys("replay", str(file), "a", "--yes", code=2)


def test_a_step_of_a_server_is_replayed_here(tiphys: Tiphys, server: tuple[str, Path], tmp_path: Path) -> None:
    """Built from the Workflow's status; its input artifacts come through the server's API."""
    url, token = server
    manifest = tmp_path / "m.yaml"
    manifest.write_text(FAILS)
    tiphys("run", str(manifest), code=1)
    run = tiphys("list", "-o", "name").split()[0]
    there = ("--server", url, "--token-file", str(token), "-n", "default")
    said = tiphys("replay", run, "divide", *there, code=1)
    assert "input data: " in said
    assert "mode fast hello" in said
    assert "exit code: 1, as the first time" in said
    assert "the same" in tiphys("parity", "diff", run, f"there:{run}", *there)
