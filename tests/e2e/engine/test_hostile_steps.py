"""Steps and values that do harm: each ends as on Argo, is cleaned up whole, and disturbs nothing else."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiphys.engine import Engine, RunState, load_text
from tiphys.engine.executor import log_path
from tiphys.engine.pod import RESULT_LIMIT

pytestmark = pytest.mark.e2e
Run = Callable[..., RunState]
HEAD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: hostile-}
spec:
  entrypoint: main
  templates:
"""
LIKE_CODE = [
    "'; touch {marker} #", "$(touch {marker})", "`touch {marker}`", '" && touch {marker} && echo "', "-rf --help",
    "{{{{=sprig.env('HOME')}}}}", "a\nb: c\n- d", "${{PATH}} $(PATH) $$PATH %s %n", "\\", "*", "é€😀",
    "<script>alert(1)</script>", "' OR 1=1 --", "__import__('os').system('touch {marker}')",
]  # fmt: skip


def parameter(run: RunState, name: str) -> str:
    """An output parameter of the only step."""
    (found,) = [e for e in (run.nodes[run.name].outputs or {})["parameters"] if e["name"] == name]
    return str(found["value"])


@pytest.mark.parametrize("value", LIKE_CODE)
def test_a_value_that_looks_like_code_arrives_as_it_is(run: Run, tmp_path: Path, value: str) -> None:
    """Through an argument, an environment variable and a file; nobody reads it as shell, YAML or template."""
    marker = tmp_path / "harm"
    value = value.format(marker=marker)
    result = run(
        HEAD
        + """
  - name: main
    inputs: {parameters: [{name: v}], artifacts: [{name: f, path: /tmp/f, raw: {data: "{{inputs.parameters.v}}"}}]}
    container:
      image: debian:12
      command: [sh, -c, 'printf %s "$0" > /tmp/a; printf %s "$V" > /tmp/e; cp /tmp/f /tmp/c', "{{inputs.parameters.v}}"]
      env: [{name: V, value: "{{inputs.parameters.v}}"}]
    outputs:
      parameters:
      - {name: argument, valueFrom: {path: /tmp/a}}
      - {name: environment, valueFrom: {path: /tmp/e}}
      - {name: file, valueFrom: {path: /tmp/c}}
  arguments: {parameters: [{name: v, value: ""}]}
""",
        v=value,
    )
    assert result.phase == "Succeeded", result.message
    as_kubernetes_does = value.replace("$$", "$")  # it reads `$$` and the names of variables wherever a template goes
    for way in ("argument", "environment", "file"):
        assert parameter(result, way) == as_kubernetes_does
    assert not marker.exists()


@pytest.mark.long
@pytest.mark.parametrize("private", [True, False])
def test_a_step_that_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path: Path, *, private: bool) -> None:
    """After Argo's 30 seconds; its daemons too, which left its session and its group."""
    pids = tmp_path / "pids"
    engine = Engine(tmp_path / "state", private=private, keep=(tmp_path,))
    script = tmp_path / "hold.sh"
    forever = f"98765.{os.getpid()}"  # seconds, and a mark of our own processes
    script.write_text(f"trap '' TERM HUP INT\necho x >> \"$1\"\nexec sleep {forever}\n")
    result = engine.run(
        engine.submit(
            load_text(
                HEAD
                + f"""
  - name: main
    activeDeadlineSeconds: 1
    container:
      image: debian:12
      command: [sh, -c]
      args: ["trap '' TERM; for i in 1 2 3; do setsid sh {script} {pids} & done; wait; sleep {forever}"]
"""
            )
        ),
        handle_signals=False,
    )
    node = result.nodes[result.name]
    assert (node.phase, node.message) == ("Failed", "Pod was active on the node longer than the specified deadline")
    assert pids.read_text() == "x\n" * 3
    assert not [each for each in processes() if forever in each]


def test_a_step_that_prints_without_end_fills_no_memory(tmp_path: Path) -> None:
    """100 MB of output: all in the log, the last 256 KiB as result, the engine no larger than before."""
    engine = Engine(tmp_path / "state")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = engine.run(
        engine.submit(
            load_text(
                HEAD
                + """
  - name: main
    steps:
    - - {name: shout, template: shout}
    - - {name: after, template: after, when: "'{{steps.shout.outputs.result}}' != ''"}
  - name: shout
    script: {image: "debian:12", command: [sh], source: "yes 0123456789abcde | head -c 100000000; echo; echo end"}
  - name: after
    container: {image: "debian:12", command: ["true"]}
"""
            )
        ),
        handle_signals=False,
    )
    assert result.phase == "Succeeded", result.message
    shout = next(node for node in result.nodes.values() if node.display_name == "shout")
    assert len((shout.outputs or {})["result"]) <= RESULT_LIMIT
    assert (shout.outputs or {})["result"].endswith("\nend")
    assert log_path(engine.state, result.name, shout.id).stat().st_size == 100_000_005
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 40 MB; skips where we may not make one."""
    roots = {"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"}
    for root, limit in roots.items():
        folder = Path(root) / f"tiphys-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text("40000000")
        except OSError:
            folder.rmdir()
            continue
        yield folder
        folder.rmdir()
        return
    pytest.skip("no control group for memory can be made here")


def test_a_step_that_is_out_of_memory_says_so_and_leaves_the_others_alone(run: Run, small_group: Path) -> None:
    """The kernel's kill has Argo's message; a kill that somebody sent has not."""
    result = run(
        HEAD
        + f"""
  - name: main
    dag:
      failFast: false
      tasks: [{{name: greedy, template: greedy}}, {{name: killed, template: killed}}, {{name: modest, template: modest}}]
  - name: greedy
    script:
      image: debian:12
      command: [sh]
      source: |
        echo 0 > {small_group}/cgroup.procs  # 0: this process
        exec python3 -c 'print(len(b"x" * 400_000_000))'
  - name: killed
    script: {{image: "debian:12", command: [sh], source: "kill -9 $$$$"}}
  - name: modest
    script: {{image: "debian:12", command: [sh], source: "cat /proc/self/oom_score_adj > /tmp/score; sleep 2"}}
    outputs: {{parameters: [{{name: score, valueFrom: {{path: /tmp/score}}}}]}}
"""
    )
    found = {node.display_name: (node.phase, node.message) for node in result.nodes.values()}
    assert found["greedy"] == ("Failed", "main: OOMKilled (exit code 137)")
    assert found["modest"] == ("Succeeded", "")
    assert found["killed"] == ("Failed", "main: Error (exit code 137)")
    modest = next(node for node in result.nodes.values() if node.display_name == "modest")
    assert int((modest.outputs or {})["parameters"][0]["value"]) > int(
        Path("/proc/self/oom_score_adj").read_text(encoding="ascii")
    )


def test_a_loop_that_calls_itself_without_end_stops_as_on_argo(run: Run) -> None:
    """At Argo's depth, with Argo's message."""
    result = run(HEAD + "  - {name: main, steps: [[{name: again, template: main}]]}\n")
    assert result.phase == "Failed"
    assert any("Maximum recursion depth exceeded" in node.message for node in result.nodes.values())


def processes() -> list[str]:
    """Command lines of all processes of this machine."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue
    return found
