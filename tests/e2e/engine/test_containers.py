"""Pods of several containers and daemons, with real processes; what Argo does is read from its own source at v4.1.2."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, Node, RunState, load_text

pytestmark = pytest.mark.e2e
Run = Callable[..., RunState]
HEAD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
  volumes: [{name: work, emptyDir: {}}, {name: other, emptyDir: {}}]
  templates:
"""


def node(run: RunState, name: str) -> Node:
    """The node of that name, without the workflow's own."""
    return next(found for found in run.nodes.values() if found.name == f"wf{name}")


def states(run: RunState, below: str) -> dict[str, tuple[str, str]]:
    """Phase and message of each Container node of a pod."""
    prefix = f"wf{below}."
    containers = [found for found in run.nodes.values() if found.type == "Container" and found.name.startswith(prefix)]
    return {found.name.removeprefix(prefix): (found.phase, found.message) for found in containers}


def parameter(found: Node) -> Any:
    """The first output parameter."""
    return (found.outputs or {})["parameters"][0]["value"]


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that steps see as we do."""
    folder = Path("/var/tmp") / f"tiphys-containers-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


GRAPH = """
  - name: main
    steps:
    - - {name: set, template: set}
    - - {name: after, template: after, arguments: {parameters: [{name: v, value: "{{steps.set.outputs.result}}"}]}}
  - name: after
    inputs: {parameters: [{name: v}]}
    container: {image: "debian:12", command: [sh, -c, "echo {{inputs.parameters.v}} > /tmp/o"]}
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
  - name: set
    outputs: {parameters: [{name: sum, valueFrom: {path: /workspace/sum}}]}
    containerSet:
      volumeMounts: [{name: work, mountPath: /workspace}]
      containers:
      - {name: a, image: "debian:12", command: [sh, -c, "echo unheard; echo 3 > /workspace/a"]}
      - {name: b, image: "debian:12", command: [sh, -c, "echo 4 > /workspace/b"]}
      - {name: main, image: "debian:12", dependencies: [a, b], command: [sh, -c, "cat /workspace/a /workspace/b | tr -d '\\\\n' | tee /workspace/sum"]}
"""


@pytest.mark.parametrize("private", [True, False])
def test_containers_of_a_set_share_a_volume_and_wait_for_their_dependencies(state: Path, *, private: bool) -> None:
    """One Container node each, edges by dependencies, result and outputs of main only (container_set_template.go, emissary.go)."""
    engine = Engine(state, private=private)
    run = engine.run(engine.submit(load_text(HEAD + GRAPH)), handle_signals=False)
    pod = node(run, "[0].set")
    assert (run.phase, run.message) == ("Succeeded", "")
    assert pod.outputs == {"exitCode": "0", "result": "34", "parameters": [{"name": "sum", "value": "34"}]}
    assert parameter(node(run, "[1].after")) == "34"
    children = {
        item.display_name: [run.nodes[child].display_name for child in item.children] for item in run.nodes.values()
    }
    assert (children["set"], children["a"], children["b"], children["main"]) == (
        ["a", "b"],
        ["main"],
        ["main"],
        ["[1]"],
    )
    assert all(run.nodes[child].boundary == pod.id for child in pod.children)
    assert "unheard" in engine.log_path("wf", node(run, "[0].set.a").id).read_text()


@pytest.mark.parametrize("private", [True, False])
def test_two_containers_may_have_different_volumes_at_a_path_where_there_are_namespaces(
    state: Path, *, private: bool
) -> None:
    """Without, the mount would be one of the whole machine: the step ends in Error before anything of it runs."""
    engine = Engine(state, private=private)
    text = (
        HEAD
        + """
  - name: main
    volumes: [{name: one, emptyDir: {}}, {name: two, emptyDir: {}}]
    containerSet:
      containers:
      - {name: a, image: "debian:12", command: [touch, /tiphys-own/a], volumeMounts: [{name: one, mountPath: /tiphys-own}]}
      - {name: main, image: "debian:12", dependencies: [a], command: [ls, -A, /tiphys-own], volumeMounts: [{name: two, mountPath: /tiphys-own}]}
"""
    )
    done = engine.run(engine.submit(load_text(text)), handle_signals=False)
    assert done.phase == ("Succeeded" if private else "Error")
    assert engine.log_path("wf", node(done, "").id).exists() == private
    if private:
        assert engine.log_path("wf", node(done, "").id).read_text() == ""
    else:
        assert "/tiphys-own shows another volume to another container" in done.message
    assert not Path("/tiphys-own").exists()


def test_what_depends_on_a_container_that_failed_ends_in_error_and_the_others_are_ended(run: Run) -> None:
    """Dependents exit with 64, which is Error; the rest gets SIGTERM; the pod has the first failure by name (operator.go inferFailedReason)."""
    result = run(
        HEAD
        + """
  - name: main
    containerSet:
      containers:
      - {name: bad, image: "debian:12", command: [sh, -c, "exit 3"]}
      - {name: late, image: "debian:12", dependencies: [bad], command: ["true"]}
      - {name: later, image: "debian:12", dependencies: [late], command: ["true"]}
      - {name: slow, image: "debian:12", command: [sleep, "987654"]}
"""
    )
    assert states(result, "") == {
        "bad": ("Failed", "bad: Error (exit code 3): "),
        "late": ("Error", 'late: Error (exit code 64): dependency "bad" exited with non-zero code: 3'),
        "later": ("Error", 'later: Error (exit code 64): dependency "late" exited with non-zero code: 3'),
        "slow": ("Failed", "slow: Error (exit code 143): "),
    }
    assert (node(result, "").phase, node(result, "").message) == ("Failed", "bad: Error (exit code 3)")


def test_a_container_of_a_set_is_started_again_as_often_as_its_retries_say(run: Run) -> None:
    """`retries` is the number of all attempts: emissary.go gives it to wait.Backoff as Steps."""
    body = """
  - name: main
    containerSet:
      volumeMounts: [{name: work, mountPath: /workspace}]
      retryStrategy: {retries: 3, duration: 10ms}
      containers:
      - {name: flaky, image: "debian:12", command: [sh, -c, "echo x >> /workspace/n; test $(wc -l < /workspace/n) = %d"]}
      - {name: main, image: "debian:12", dependencies: [flaky], command: [cp, /workspace/n, /workspace/seen]}
    outputs: {parameters: [{name: o, valueFrom: {path: /workspace/seen, default: none}}]}
"""
    third = run(HEAD + body % 3)
    assert (third.phase, parameter(node(third, ""))) == ("Succeeded", "x\nx\nx")


def test_a_container_set_that_asks_for_outputs_has_a_main(run: Run) -> None:
    """validate.go: outputs are taken from main alone."""
    with pytest.raises(ManifestError, match='must have a container named "main" for input or output'):
        run(
            HEAD
            + """
  - name: main
    containerSet: {containers: [{name: a, image: "debian:12", command: ["true"]}]}
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
"""
        )


def test_sidecars_run_beside_main_and_their_being_killed_is_no_failure(run: Run, state: Path) -> None:
    """They see main's volumes by mirrorVolumeMounts, and exit codes 137 and 143 are passed over (operator.go inferFailedReason)."""
    result = run(
        HEAD
        + """
  - name: main
    initContainers:
    - {name: first, image: "debian:12", command: [sh, -c, "echo first >> /v/order"], mirrorVolumeMounts: true}
    - {name: second, image: "debian:12", command: [sh, -c, "echo second >> /x/order"], volumeMounts: [{name: work, mountPath: /x}]}
    sidecars:
    - {name: helper, image: "debian:12", command: [sh, -c, "mkfifo /v/ask; echo helped > /v/ask; sleep 987654"], mirrorVolumeMounts: true}
    container:
      image: debian:12
      command: [sh, -c, "until test -p /v/ask; do :; done; cat /v/order /v/ask > /tmp/o"]
      volumeMounts: [{name: work, mountPath: /v}]
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
"""
    )
    assert (result.phase, parameter(node(result, ""))) == ("Succeeded", "first\nsecond\nhelped")
    assert not [child for child in result.nodes.values() if child.type == "Container"]


@pytest.mark.parametrize(
    ("helper", "main", "expected"),
    [
        ("exit 5", "true", ("Failed", "helper: Error (exit code 5)")),
        ("exit 143", "true", ("Succeeded", "")),
        ("exit 5", "exit 2", ("Failed", "main: Error (exit code 2)")),
    ],
)
def test_a_sidecar_that_fails_by_itself_fails_the_step_unless_main_did(
    run: Run, helper: str, main: str, expected: tuple[str, str]
) -> None:
    """Main is asked first, then the sidecars (operator.go inferFailedReason)."""
    result = run(
        HEAD
        + f"""
  - name: main
    sidecars: [{{name: helper, image: "debian:12", command: [sh, -c, "{helper}"]}}]
    container: {{image: "debian:12", command: [sh, -c, "sleep 0.3; {main}"]}}
"""
    )
    assert (node(result, "").phase, node(result, "").message) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (4, ("Failed", "check: Error (exit code 4)")),
        (137, ("Error", "Pod failed before main container starts due to PodInitializing: ")),
    ],
)
def test_an_init_container_that_fails_keeps_main_from_starting(
    run: Run, shared: Path, code: int, expected: tuple[str, str]
) -> None:
    """It is Failed with its name, not Error: only Argo's own container called init is (operator.go inferFailedReason)."""
    result = run(
        HEAD
        + f"""
  - name: main
    initContainers:
    - {{name: check, image: "debian:12", command: [sh, -c, "exit {code}"]}}
    - {{name: never, image: "debian:12", command: [touch, {shared}/never]}}
    container: {{image: "debian:12", command: [touch, {shared}/main]}}
"""
    )
    assert (node(result, "").phase, node(result, "").message) == expected
    assert list(shared.iterdir()) == []


SERVER = """
import http.server, signal, sys
class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'hello')
signal.signal(signal.SIGTERM, lambda *_: (open('{shared}/terminated', 'w').close(), sys.exit(0)))
server = http.server.HTTPServer(('', 0), Quiet)
open('{shared}/port', 'w').write(str(server.server_port))
server.serve_forever()
"""
DAEMON = """
  - name: main
    dag:
      tasks:
      - {{name: server, template: server}}
      - {{name: use, depends: server.Daemoned, template: use, arguments: {{parameters: [{{name: ip, value: "{{{{tasks.server.ip}}}}"}}]}}}}
  - name: use
    inputs: {{parameters: [{{name: ip}}]}}
    script:
      image: python:3
      command: [python3]
      source: |
        import urllib.request
        port = open("{shared}/port").read()
        open("/tmp/o", "w").write(urllib.request.urlopen("http://{{{{inputs.parameters.ip}}}}:" + port).read().decode())
    outputs: {{parameters: [{{name: o, valueFrom: {{path: /tmp/o}}}}]}}
  - name: server
    daemon: true
    script:
      image: python:3
      command: [python3]
      readinessProbe: {{exec: {{command: [test, -s, {shared}/port]}}, periodSeconds: 1}}
      source: |
{source}
"""


def server(shared: Path) -> str:
    """A DAG with a daemon that answers, and a task that asks it."""
    lines = SERVER.format(shared=shared).strip().splitlines()
    return HEAD + DAEMON.format(shared=shared, source="\n".join("        " + line for line in lines))


def test_a_daemon_serves_those_that_depend_on_it_and_ends_with_its_boundary(
    run: Run, shared: Path, engine: Engine
) -> None:
    """Running and daemoned counts as satisfied; SIGTERM and Succeeded when the DAG ends (exec_control.go killDaemonedChildren)."""
    result = run(server(shared))
    assert (result.phase, parameter(node(result, ".use"))) == ("Succeeded", "hello")
    assert (node(result, ".server").phase, node(result, ".server").daemoned) == ("Succeeded", False)
    assert (shared / "terminated").exists()


@pytest.mark.parametrize(("code", "message"), [(0, ""), (7, "main: Error (exit code 7)")])
def test_a_daemon_that_ends_by_itself_has_failed(run: Run, code: int, message: str) -> None:
    """Also with exit code 0: daemons should run for ever (operator.go assessNodeStatus)."""
    result = run(
        HEAD
        + f"""
  - name: main
    dag:
      tasks:
      - {{name: server, template: server}}
      - {{name: use, depends: server, template: use}}
  - name: use
    container: {{image: "debian:12", command: ["true"]}}
  - name: server
    daemon: true
    container:
      image: debian:12
      command: [sh, -c, "exit {code}"]
      readinessProbe: {{exec: {{command: ["false"]}}}}
"""
    )
    assert (node(result, ".server").phase, node(result, ".server").message) == ("Failed", message)
    assert (node(result, ".use").phase, result.phase) == ("Omitted", "Failed")


def test_a_daemon_without_a_probe_is_ready_when_it_has_started(run: Run) -> None:
    """In steps the next group begins; a step that is not waited for would never end otherwise (operator.go)."""
    result = run(
        HEAD
        + """
  - name: main
    steps:
    - - {name: server, template: server}
    - - {name: use, template: use}
  - name: use
    container: {image: "debian:12", command: ["true"]}
  - name: server
    daemon: true
    container: {image: "debian:12", command: [sh, -c, "sleep 987654 & wait"]}
"""
    )
    assert (result.phase, node(result, "[0].server").phase) == ("Succeeded", "Succeeded")


REVIVED = """
  - name: main
    {kind}
  - name: use
    container: {{image: "debian:12", command: [sh, -c, "exec 3<> {shared}/alive; flock 3; cat {shared}/go; test -e {shared}/daemon-2"]}}
  - name: server
    daemon: true
    container:
      image: debian:12
      command: [sh, -c, "exec 4<> {shared}/daemon-alive; flock 4; echo x >> {shared}/starts; touch {shared}/daemon-$(wc -l < {shared}/starts) /tmp/ready; sleep 987654"]
      readinessProbe: {{exec: {{command: [test, -e, /tmp/ready]}}}}
"""
KINDS = {
    "dag": "dag: {tasks: [{name: server, template: server}, {name: use, depends: server, template: use}]}",
    "steps": "steps: [[{name: server, template: server}], [{name: use, template: use}]]",
}


@pytest.mark.parametrize("kind", ["dag", "steps"])
def test_after_a_kill_of_the_engine_no_daemon_is_left_and_a_resume_starts_it_again(
    kind: str, shared: Path, drive: Callable[..., subprocess.Popen[str]], read_until: Callable[..., str]
) -> None:
    """The launcher's PID namespace dies with the engine; what depends on the daemon waits for it anew."""
    os.mkfifo(shared / "go")
    text = HEAD + REVIVED.format(kind=KINDS[kind], shared=shared)
    first = drive(text)
    read_until(first, "use Running")
    first.send_signal(signal.SIGKILL)
    first.wait()
    for lock in ("alive", "daemon-alive"):
        subprocess.run(["flock", "--timeout", "20", str(shared / lock), "true"], check=True)
    again = drive(text, "wf")
    read_until(again, "use Running")
    (shared / "go").write_text("go\n")
    assert "end: wf Succeeded" in read_until(again, "end:")
    assert (shared / "starts").read_text() == "x\nx\n"
