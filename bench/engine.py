"""The engine beside others: many small steps, a wide fan-out, and a cold start.

    .venv/bin/python bench/engine.py [--repeats 5] [--only steps|fanout|cold]

* steps: 1,000 steps of `true` in a DAG of width 50, by `ninja -j2`, by the engine with and without private roots, and 100
  of them by Metaflow's local runner. Ninja and Metaflow are taken from the environment that --others names
  (`python3 -m venv others && others/bin/pip install -r bench/others.txt`); one that is not there is left out.
* fanout: withSequence over 100, 1,000 and 10,000 items, from YAML to Succeeded: time a node, and peak memory.
* cold: `tiphys run hello.yaml` and `tiphys --help`, wall time of a new process.

Every engine run must end Succeeded with the right number of nodes before its time counts. Medians; the journal is on.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LAYERS, WIDTH = 20, 50
METAFLOW_STEPS = 20
WIDTHS = (100, 1_000, 10_000)
RUN = """
import json, resource, sys, time
from pathlib import Path
from tiphys.engine import Engine, load_file
began = time.perf_counter()
engine = Engine(Path(sys.argv[1]) / "state", private=None if sys.argv[3] == "private" else False)
run = engine.run(engine.submit(load_file(Path(sys.argv[2]))))
took = time.perf_counter() - began
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024
print(json.dumps([run.phase, len(run.nodes), took, peak]))
"""
FLOW = """
from metaflow import FlowSpec, step
class Chain(FlowSpec):
    @step
    def start(self):
        self.next(self.s0)
{steps}
    @step
    def end(self):
        pass
if __name__ == "__main__":
    Chain()
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["steps", "fanout", "cold"])
    parser.add_argument("--others", type=Path, default=Path("others"), help="environment with ninja and Metaflow")
    arguments = parser.parse_args()
    parts = {"steps": steps, "fanout": fanout, "cold": cold}
    for name, part in parts.items():
        if arguments.only in (None, name):
            part(arguments.repeats, arguments.others)
    return 0


def steps(repeats: int, others: Path) -> None:
    """Seconds for each step, by each runner, in turn."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        manifest = folder / "dag.yaml"
        manifest.write_text(dag(), encoding="utf-8")
        runners: dict[str, Callable[[], float]] = {
            "engine, private roots": lambda: (
                engine(folder, manifest, "private", 1 + LAYERS * WIDTH)[0] / (LAYERS * WIDTH)
            ),
            "engine, no isolation": lambda: (
                engine(folder, manifest, "shared", 1 + LAYERS * WIDTH)[0] / (LAYERS * WIDTH)
            ),
        }
        if (others / "bin/ninja").exists():
            runners["ninja -j2"] = lambda: ninja(folder, others)
        if (others / "bin/metaflow").exists():
            runners["Metaflow, local"] = lambda: metaflow(folder, others)
        times: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(repeats):
            for name, runner in runners.items():
                times[name].append(runner())
    base = statistics.median(times.get("ninja -j2") or [0.0])
    print(f"{LAYERS * WIDTH} steps of `true`, width {WIDTH}: median of {repeats}")
    for name, found in times.items():
        median = statistics.median(found)
        beside = f"{median / base:6.1f} x ninja" if base else ""
        print(
            f"  {name:22} {median * 1000:8.2f} ms a step  ({min(found) * 1000:.2f} to {max(found) * 1000:.2f}) {beside}"
        )


def fanout(repeats: int, _others: Path) -> None:
    """Time a node and peak memory, for each width."""
    print(f"withSequence fan-out, from YAML to Succeeded: median of {repeats}")
    with tempfile.TemporaryDirectory() as place:
        for width in WIDTHS:
            manifest = Path(place) / f"{width}.yaml"
            manifest.write_text(wide(width), encoding="utf-8")
            found = [engine(Path(place), manifest, "private", width + 2) for _ in range(repeats)]
            took = statistics.median(each[0] for each in found)
            peak = statistics.median(each[1] for each in found)
            print(f"  {width:6,} wide {took:7.2f} s  {took / width * 1000:6.2f} ms a node  peak {peak / 1e6:5.0f} MB")


def cold(repeats: int, _others: Path) -> None:
    """Wall time of new processes."""
    tiphys = [sys.executable, "-m", "tiphys"]
    with tempfile.TemporaryDirectory() as place:
        manifest = Path(place) / "hello.yaml"
        manifest.write_text(wide(1), encoding="utf-8")
        environment = {**os.environ, "TIPHYS_HOME": place}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
        print(f"cold start: median of {repeats}, after one that does not count")
        for command in (["--help"], ["run", str(manifest)]):
            found: list[float] = []
            for _ in range(repeats + 1):
                began = time.perf_counter()
                subprocess.run([*tiphys, *command], check=True, capture_output=True, env=environment, cwd=PROJECT)
                found.append(time.perf_counter() - began)
            print(
                f"  tiphys {command[0]:8} {statistics.median(found[1:]):6.3f} s  ({min(found[1:]):.3f} to {max(found[1:]):.3f})"
            )


def engine(folder: Path, manifest: Path, roots: str, nodes: int) -> tuple[float, float]:
    """Seconds and peak bytes of one run, in a process of its own and on a new state folder."""
    # Stays until all is measured: for seconds after thousands of files were deleted, ext4 is slow to make new ones.
    state = tempfile.mkdtemp(dir=folder)
    command = [sys.executable, "-c", RUN, state, str(manifest), roots]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT)
    phase, found, took, peak = json.loads(done.stdout.splitlines()[-1])
    if (phase, found) != ("Succeeded", nodes):
        sys.exit(f"{manifest}: {phase} with {found} nodes, expected Succeeded with {nodes}: no figure counts")
    return took, peak


def ninja(folder: Path, others: Path) -> float:
    """Seconds a step on the same graph."""
    lines = ["rule t\n  command = true"]
    for layer in range(LAYERS):
        lines += [f"build t{layer}-{at}: t" + (f" t{layer - 1}-{at}" if layer else "") for at in range(WIDTH)]
    (folder / "build.ninja").write_text("\n".join(lines) + "\n", encoding="utf-8")
    began = time.perf_counter()
    done = subprocess.run(
        [others.absolute() / "bin/ninja", "-j2"], cwd=folder, check=True, capture_output=True, text=True
    )
    took = time.perf_counter() - began
    if f"[{LAYERS * WIDTH}/{LAYERS * WIDTH}]" not in done.stdout:
        sys.exit("ninja did not run every step: no figure counts")
    return took / (LAYERS * WIDTH)


def metaflow(folder: Path, others: Path) -> float:
    """Seconds a step of a chain of empty steps."""
    names = [f"s{number}" for number in range(METAFLOW_STEPS)]
    following = [*names[1:], "end"]
    body = "".join(
        f"    @step\n    def {name}(self):\n        self.next(self.{then})\n"
        for name, then in zip(names, following, strict=True)
    )
    (folder / "chain.py").write_text(FLOW.format(steps=body), encoding="utf-8")
    environment = {**os.environ, "METAFLOW_HOME": str(folder), "USERNAME": "bench"}
    began = time.perf_counter()
    command = [str(others.absolute() / "bin/python"), "chain.py", "run"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    return (time.perf_counter() - began) / (METAFLOW_STEPS + 2)


def dag() -> str:
    """A DAG of LAYERS layers, each task behind the one above it."""
    tasks = [
        f"      - {{name: t{layer}-{at}, template: t" + (f", depends: t{layer - 1}-{at}" if layer else "") + "}"
        for layer in range(LAYERS)
        for at in range(WIDTH)
    ]
    return _workflow("dag:\n      tasks:\n" + "\n".join(tasks))


def wide(count: int) -> str:
    """One step over `count` items."""
    return _workflow(f'steps:\n    - - {{name: each, template: t, withSequence: {{count: "{count}"}}}}')


def _workflow(body: str) -> str:
    return f"""apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {{generateName: bench-}}
spec:
  entrypoint: main
  templates:
  - name: main
    {body}
  - name: t
    container: {{image: alpine, command: ["true"]}}
"""


if __name__ == "__main__":
    sys.exit(main())
