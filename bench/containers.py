"""What it costs to run a step in its image instead of as a process.

    .venv/bin/python bench/containers.py [--repeats 5] [--only start|pipeline] [--data FOLDER]

* start: 20 steps one after the other, each `python -c pass` in the image `tiphys/ingest`, as processes and in containers in
  turn: seconds a step, and the difference. The image's own Python is another one, so a container with a program that does
  nothing (`/bin/true`) stands beside it.
* pipeline: `continuous-training` on simulated trips (or --data) from an empty state folder, with every light step in its
  image and with none, in turn: seconds of the whole run.

Needs root, buildah, runc and the images (`make images`). Each run must end Succeeded, and with the same rows, before its time
counts. Medians.
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
from pathlib import Path

from tiphys import __version__
from tiphys.engine import Engine, Image, load_text

PROJECT = Path(__file__).resolve().parent.parent
PORT_BASE = 17400
STEPS = 20
LIGHT = (
    "ingest",
    "check-data",
    "deploy",
    "integration-test",
    "load-test",
    "canary",
    "judge",
    "promote",
    "summary",
    "package",
)
IMAGE = f"tiphys/ingest:{__version__}"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["start", "pipeline"])
    parser.add_argument("--data", type=Path, help="folder of raw files (default: simulated trips)")
    arguments = parser.parse_args()
    if arguments.only in (None, "start"):
        start(arguments.repeats)
    if arguments.only in (None, "pipeline"):
        pipeline(arguments.repeats, arguments.data)
    return 0


def start(repeats: int) -> None:
    """Seconds a step, as a process and in its image."""
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        for program in (["python", "-c", "pass"], ["/bin/true"]):
            for containers in ("", "*"):
                name = f"{' '.join(program)}, {'container' if containers else 'process'}"
                found.setdefault(name, []).append(chain(program, containers))
    show(found)
    for program in ("python -c pass", "/bin/true"):
        apart = [
            inside - outside
            for inside, outside in zip(found[f"{program}, container"], found[f"{program}, process"], strict=True)
        ]
        print(f"{program}: a container takes {statistics.median(apart):.3f} s more (limit 0.3)")


def chain(program: list[str], containers: str) -> float:
    """Seconds for one step of a chain."""
    step = json.dumps({"image": IMAGE, "command": program})
    steps = "\n".join(f"    - - {{name: s{number}, template: step}}" for number in range(STEPS))
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: chain-}\n"
        "spec:\n  entrypoint: main\n  templates:\n"
        f"  - name: main\n    steps:\n{steps}\n  - name: step\n    container: {step}\n"
    )
    with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as state:
        stand_in = Image("tiphys/*", (str(PROJECT / ".venv" / "bin"),))
        engine = Engine(Path(state), images=[stand_in], containers=[containers] if containers else [], keep=[PROJECT])
        name = engine.submit(load_text(text))
        began = time.perf_counter()
        run = engine.run(name, handle_signals=False)
        took = time.perf_counter() - began
    if run.phase != "Succeeded":
        raise SystemExit("\n".join(f"{node.name}: {node.message}" for node in run.nodes.values() if node.message))
    return took / STEPS


def pipeline(repeats: int, data: Path | None) -> None:
    """Seconds of the whole run, with the light steps in their images and without."""
    with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as place:
        if data is None:
            data = Path(place) / "trips"
            tiphys({}, "simulate", str(data))
        found: dict[str, list[float]] = {}
        rows = set()
        for _ in range(repeats):
            for containers in ("", ",".join(f"tiphys/{name}:*" for name in LIGHT)):
                seconds, kept = whole(data, containers)
                found.setdefault("light steps in containers" if containers else "processes only", []).append(seconds)
                rows.add(kept)
    if len(rows) != 1:
        raise SystemExit(f"the runs do not agree about the rows: {rows}")
    show(found)
    ratio = statistics.median(found["light steps in containers"]) / statistics.median(found["processes only"])
    print(f"with containers the run takes {ratio:.2f} times as long (limit 1.15)")


def whole(data: Path, containers: str) -> tuple[float, str]:
    """One run from an empty state folder: seconds, and the rows kept."""
    with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as home:
        (Path(home) / "jars").symlink_to(PROJECT / ".tiphys" / "jars")
        environment = {"TIPHYS_HOME": home, "TIPHYS_PORT_BASE": str(PORT_BASE)}
        summary = Path(home) / "summary.json"
        try:
            tiphys(environment, "up")
            took = tiphys(
                environment, "run", "continuous-training", "--upload", f"source={data}",
                "--summary", str(summary), "--containers", containers,
            )  # fmt: skip
            told = json.loads(summary.read_text())["outputs"]["parameters"]
            return took, told["etl-rows-kept"]
        finally:
            tiphys(environment, "down")


def tiphys(environment: dict[str, str], *words: str) -> float:
    """Wall-clock seconds of one command, which must succeed."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tiphys", *words]
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    if done.returncode != 0:
        raise SystemExit(f"tiphys {' '.join(words)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return time.monotonic() - began


def show(found: dict[str, list[float]]) -> None:
    """Medians, and every repeat."""
    for name, values in found.items():
        each = ", ".join(f"{value:.3f}" for value in values)
        print(f"{name:<32} {statistics.median(values):8.3f} s   ({each})")


if __name__ == "__main__":
    sys.exit(main())
