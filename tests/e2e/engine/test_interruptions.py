"""SIGKILL, Ctrl-C, a second engine: nothing is run twice, nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiphys.engine import Engine, EngineError, load_text

pytestmark = pytest.mark.e2e
Drive = Callable[..., subprocess.Popen[str]]
ReadUntil = Callable[[subprocess.Popen[str], str], str]


def two_steps(shared: Path) -> str:
    """A first step that counts its runs, then one that waits for a FIFO and leaves a daemon behind."""
    return f"""
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {{name: two}}
spec:
  entrypoint: main
  templates:
  - name: main
    dag:
      tasks:
      - {{name: first, template: first}}
      - {{name: second, depends: first, template: second, arguments: {{parameters: [{{name: v, value: "{{{{tasks.first.outputs.parameters.v}}}}"}}]}}}}
  - name: first
    container:
      image: debian:12
      command: [sh, -c]
      args: ["echo ran >> {shared}/first; echo 42 > /tmp/v"]
    outputs: {{parameters: [{{name: v, valueFrom: {{path: /tmp/v}}}}]}}
  - name: second
    inputs: {{parameters: [{{name: v}}]}}
    container:
      image: debian:12
      command: [sh, -c]
      args: ["echo ran {{{{inputs.parameters.v}}}} >> {shared}/second; setsid sleep 987654 & exec 3<> {shared}/alive; flock 3; cat {shared}/go"]
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that steps see as we do: not below /tmp, which is private to each step."""
    folder = Path("/var/tmp") / f"tiphys-test-{os.getpid()}"
    folder.mkdir()
    os.mkfifo(folder / "go")
    yield folder
    shutil.rmtree(folder)


def wait_until_gone(shared: Path) -> None:
    """Block until no process holds the lock that the second step takes."""
    subprocess.run(["flock", "--timeout", "20", str(shared / "alive"), "true"], check=True)


def test_after_a_kill_finished_steps_are_not_run_again_and_nothing_is_orphaned(
    shared: Path, state: Path, drive: Drive, read_until: ReadUntil
) -> None:
    """After a kill finished steps are not run again and nothing is orphaned."""
    engine_process = drive(two_steps(shared))
    read_until(engine_process, "● second Running")
    engine_process.kill()
    engine_process.wait()
    wait_until_gone(shared)

    again = drive(two_steps(shared), "two")
    read_until(again, "● second Running")
    (shared / "go").write_text("go\n")
    output = read_until(again, "end:")

    assert "end: two Succeeded" in output
    assert (shared / "first").read_text() == "ran\n"
    assert set((shared / "second").read_text().splitlines()) == {"ran 42"}
    second = next(node for node in Engine(state).get("two").nodes.values() if node.display_name == "second")
    assert second.attempts == 2


def test_a_second_engine_names_the_holder(shared: Path, drive: Drive, read_until: ReadUntil) -> None:
    """A second engine names the holder."""
    holder = drive(two_steps(shared))
    read_until(holder, "● second Running")
    intruder = drive(two_steps(shared), "two")
    output, _ = intruder.communicate(timeout=30)
    assert intruder.returncode != 0
    assert f"pid {holder.pid}" in output
    assert "since" in output
    (shared / "go").write_text("go\n")
    read_until(holder, "end: two Succeeded")


def test_ctrl_c_stops_like_argo_stop_and_the_exit_handler_still_runs(
    shared: Path, drive: Drive, read_until: ReadUntil
) -> None:
    """Ctrl c stops like argo stop and the exit handler still runs."""
    text = (
        two_steps(shared).replace("entrypoint: main", "entrypoint: main\n  onExit: bye")
        + f"""
  - name: bye
    container: {{image: "debian:12", command: [sh, -c], args: ["echo '{{{{workflow.status}}}}' > {shared}/bye"]}}
"""
    )
    process = drive(text)
    read_until(process, "● second Running")
    process.send_signal(signal.SIGINT)
    output = read_until(process, "end:")
    assert "end: two Failed Stopped with strategy 'Stop'" in output
    assert (shared / "bye").read_text() == "Failed\n"
    wait_until_gone(shared)


def test_ctrl_c_twice_terminates_without_the_exit_handler(shared: Path, drive: Drive, read_until: ReadUntil) -> None:
    """Ctrl c twice terminates without the exit handler."""
    text = (
        two_steps(shared).replace("entrypoint: main", "entrypoint: main\n  onExit: bye")
        + f"""
  - name: bye
    container: {{image: "debian:12", command: [sh, -c], args: ["touch {shared}/never"]}}
"""
    )
    process = drive(text.replace("setsid sleep", "trap '' TERM; setsid sleep"))
    read_until(process, "● second Running")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # two of a kind could arrive as one
        process.send_signal(number)
    assert "Failed" in read_until(process, "end:")
    assert not (shared / "never").exists()
    wait_until_gone(shared)


def test_a_run_that_has_ended_can_be_retried_from_what_failed(shared: Path, engine: Engine, state: Path) -> None:
    """A run that has ended can be retried from what failed."""
    text = (
        two_steps(shared).replace("setsid sleep 987654 & exec 3<>", "test -e").replace("; flock 3; cat", " && test -p")
    )
    name = engine.submit(load_text(text))
    assert engine.run(name, handle_signals=False).phase == "Failed"
    (shared / "alive").touch()
    assert engine.retry(name) == ["second"]
    assert engine.run(name, handle_signals=False).phase == "Succeeded"
    assert (shared / "first").read_text() == "ran\n"
    with pytest.raises(EngineError, match="nothing to retry"):
        engine.retry(name)


SUSPENDED = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: asks}
spec:
  entrypoint: main
  templates:
  - name: main
    dag:
      tasks:
      - {name: ask, template: ask}
      - {name: tell, depends: ask, template: tell, arguments: {parameters: [{name: v, value: "{{tasks.ask.outputs.parameters.verdict}}"}]}}
  - name: ask
    suspend: {}
    outputs: {parameters: [{name: verdict, valueFrom: {supplied: {}}}]}
  - name: tell
    inputs: {parameters: [{name: v}]}
    container: {image: "debian:12", command: [sh, -c], args: ["test '{{inputs.parameters.v}}' = yes"]}
"""


def test_a_suspended_step_waits_for_another_process_to_resume_it(
    engine: Engine, drive: Drive, read_until: ReadUntil
) -> None:
    """A suspended step waits for another process to resume it."""
    process = drive(SUSPENDED)
    read_until(process, "● ask Running")
    assert engine.resume_suspended("asks", parameters={"verdict": "yes"})
    assert "end: asks Succeeded" in read_until(process, "end:")


def test_another_process_can_stop_a_run(engine: Engine, drive: Drive, read_until: ReadUntil) -> None:
    """Another process can stop a run."""
    process = drive(SUSPENDED)
    read_until(process, "● ask Running")
    assert engine.stop("asks")
    assert "end: asks Failed Stopped with strategy 'Stop'" in read_until(process, "end:")
    assert not engine.stop("asks")
