"""The core's part of container sets, daemons, http and memoization, with no process and a clock in hand."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.engine.actions import ContainerChanged, PodEnded, PodReady
from tiphys.engine.nodes import node_id
from tiphys.engine.revive import revive_daemons

pytestmark = pytest.mark.unit
DAEMON = """  - {name: server, daemon: true, container: {image: "debian:12", command: [serve]}}
  - {name: leaf, container: {image: "debian:12", command: ["true"]}}
  - name: main
    dag:
      tasks:
      - {name: server, template: server}
      - {name: use, depends: server, template: leaf}
"""
SET = """  - name: main
    steps: [[{name: set, template: set}], [{name: after, template: leaf}]]
  - {name: leaf, container: {image: "debian:12", command: ["true"]}}
  - name: set
    containerSet:
      containers:
      - {name: a, image: "debian:12", command: [a]}
      - {name: b, image: "debian:12", command: [b]}
      - {name: c, image: "debian:12", command: [c], dependencies: [a, b]}
"""


def ready(run: Any, name: str) -> None:
    """The daemon's probe has succeeded."""
    run.tell(PodReady(run.waiting[name].node_id))


def test_a_daemon_is_pending_until_it_is_ready_and_then_lets_others_go_on(machine: Any) -> None:
    """As in assessNodeStatus (operator.go): the phase changes only when all containers are ready."""
    run = machine(DAEMON)
    assert (run.started, run.node("wf.server").phase) == (["wf.server"], "Pending")
    ready(run, "wf.server")
    assert (run.node("wf.server").phase, run.node("wf.server").daemoned, run.started[-1]) == ("Running", True, "wf.use")
    run.end("wf.use")
    assert run.killed == ["wf.server"]
    assert (run.run.phase, run.node("wf.server").phase) == ("Succeeded", "Succeeded")


def test_the_end_of_a_daemon_that_was_killed_with_its_boundary_changes_nothing(machine: Any) -> None:
    """Its node is Succeeded already (exec_control.go killDaemonedChildren)."""
    run = machine(
        DAEMON.replace("name: main\n", "name: inner\n")
        + "  - {name: main, steps: [[{name: d, template: inner}], [{name: e, template: leaf}]]}\n"
    )
    ready(run, "wf[0].d.server")
    run.end("wf[0].d.use")
    assert run.started[-1] == "wf[1].e"
    run.end("wf[0].d.server", "Failed", 143)
    assert run.node("wf[0].d.server").phase == "Succeeded"
    run.end("wf[1].e")
    assert run.run.phase == "Succeeded"


def test_a_daemon_that_dies_is_failed_and_those_that_already_run_go_on(machine: Any) -> None:
    """The DAG's phase is that of its leaves (dag.go assessDAGPhase)."""
    run = machine(DAEMON)
    ready(run, "wf.server")
    run.end("wf.server", "Failed")
    assert run.node("wf.server").phase == "Failed"
    run.end("wf.use")
    assert (run.run.phase, run.killed) == ("Succeeded", [])


def test_a_daemon_with_a_retry_strategy_is_started_again_when_it_dies(machine: Any) -> None:
    """The Retry node is daemoned with its attempt, and looked at again (operator.go processNodeRetries)."""
    run = machine(DAEMON.replace("daemon: true", "daemon: true, retryStrategy: {limit: 1}"))
    ready(run, "wf.server(0)")
    assert (run.node("wf.server").daemoned, run.started[-1]) == (True, "wf.use")
    run.end("wf.server(0)", "Failed")
    assert run.started[-1] == "wf.server(1)"
    ready(run, "wf.server(1)")
    run.end("wf.use")
    assert (run.run.phase, run.phases()["wf.server"], run.killed) == ("Succeeded", "Succeeded", ["wf.server(1)"])


def test_the_address_of_a_daemon_is_this_machines(machine: Any) -> None:
    """`tasks.x.ip` of a daemoned node (operator.go assessNodeStatus sets PodIP)."""
    text = DAEMON.replace(
        "template: leaf}\n", 'template: leaf, arguments: {parameters: [{name: ip, value: "{{tasks.server.ip}}"}]}}\n'
    ).replace("{name: leaf, container", "{name: leaf, inputs: {parameters: [{name: ip}]}, container")
    run = machine(text)
    ready(run, "wf.server")
    assert run.node("wf.use").inputs["parameters"][0]["value"] == "127.0.0.1"


def test_after_an_interruption_a_daemon_is_ready_again_before_others_go_on(machine: Any) -> None:
    """What depends on it waits, though it was running before."""
    run = machine(DAEMON)
    ready(run, "wf.server")
    run.begin("wf.use")
    run.run.launched.clear()
    run.run.cache.clear()
    run.node("wf.use").phase = "Pending"
    revive_daemons(run.run)
    run.started.clear()
    run.tell()
    assert run.started == ["wf.server"]
    ready(run, "wf.server")
    assert run.started == ["wf.server", "wf.use"]


def test_a_container_set_has_a_node_for_each_container_and_the_next_step_hangs_below_the_last(machine: Any) -> None:
    """Names, type, boundary and edges as in container_set_template.go; outbound nodes as in getOutboundNodes."""
    run = machine(SET)
    pod, (a, b, c) = run.node("wf[0].set"), (run.node(f"wf[0].set.{name}") for name in "abc")
    assert (pod.type, {node.type for node in (a, b, c)}, {node.boundary for node in (a, b, c)}) == (
        "Pod",
        {"Container"},
        {pod.id},
    )
    assert (pod.children, a.children, b.children) == ([a.id, b.id], [c.id], [c.id])
    run.tell(ContainerChanged(a.id, "Running"), ContainerChanged(a.id, "Succeeded"))
    assert (a.phase, c.phase) == ("Succeeded", "Pending")
    run.end("wf[0].set")
    assert c.children == [node_id("wf", "wf[1]")]


def test_containers_that_were_cut_off_fail_with_their_pod(machine: Any) -> None:
    """Nobody will ever say how they ended (operator.go assessNodeStatus)."""
    run = machine(SET)
    pod = run.waiting["wf[0].set"]
    run.tell(ContainerChanged(node_id("wf", "wf[0].set.a"), "Running"))
    run.tell(PodEnded(pod.node_id, "Failed", "main: Error (exit code 137)", None))
    found = {(run.node(f"wf[0].set.{name}").phase, run.node(f"wf[0].set.{name}").message) for name in "abc"}
    assert found == {("Failed", "Pod Failed whilst container running")}


def test_an_http_node_is_a_leaf_with_its_own_type(machine: Any) -> None:
    """http_template.go: it stays Pending until its result comes."""
    run = machine("  - {name: main, http: {url: 'http://x/'}}\n")
    assert (run.node("wf").type, run.node("wf").phase) == ("HTTP", "Pending")
    run.end("wf")
    assert run.run.phase == "Succeeded"


@pytest.mark.parametrize(
    ("age", "message"),
    [
        ("60", 'invalid maxAge: time: missing unit in duration "60"'),
        ("1d", 'invalid maxAge: time: invalid duration "1d"'),
    ],
)
def test_a_max_age_that_go_can_not_read_is_an_error_even_without_an_entry(machine: Any, age: str, message: str) -> None:
    """It is parsed whenever it is given (operator.go executeTemplate)."""
    run = machine(f"""  - name: main
    memoize: {{key: k, maxAge: "{age}", cache: {{configMap: {{name: c}}}}}}
    container: {{image: "debian:12", command: ["true"]}}
""")
    assert (run.node("wf").phase, run.node("wf").message) == ("Error", message)
