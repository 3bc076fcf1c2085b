"""The whole pipeline on a stack of its own: time of each step, memory at rest and at its peak, quality, latency.

    .venv/bin/python bench/pipeline.py DATA [--repeats 3]

Each repeat starts from an empty state folder (servers up, nothing cached), runs `continuous-training`, then runs it again
unchanged. The result is checked before anything is printed: every repeat must keep the same rows and reach production.
Memory is the proportional set size (PSS) of the servers, the engine and every step, summed, sampled every two seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parent.parent
PORT_BASE = 16400
GIB = 1024**3


@dataclass
class Repeat:
    """What one repeat measured; seconds and bytes."""

    up: float = 0.0
    first: float = 0.0
    again: float = 0.0
    idle: int = 0
    peak: int = 0
    steps: dict[str, float] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of raw files")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    repeats = []
    for number in range(arguments.repeats):
        print(f"repeat {number + 1} of {arguments.repeats}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as home:
            repeats.append(measure(Path(home), arguments.data.resolve()))
    if len({each.told["etl-rows-kept"] for each in repeats}) != 1 or not all(
        "promote-serving" in each.told for each in repeats
    ):
        print("the repeats do not agree: no figures", file=sys.stderr)
        return 1
    show(repeats)
    return 0


def measure(home: Path, data: Path) -> Repeat:
    """One repeat in an empty state folder."""
    jars = PROJECT / ".tiphys" / "jars"
    (home / "jars").symlink_to(jars)
    environment = {**os.environ, "TIPHYS_HOME": str(home), "TIPHYS_PORT_BASE": str(PORT_BASE)}
    found = Repeat()
    try:
        found.up = timed(environment, "up")
        time.sleep(5)
        found.idle = memory(home)
        with peak(home) as highest:
            found.first, summary = train(environment, home, data)
            found.again, _ = train(environment, home, data)
        found.peak = highest[0]
        found.steps = {
            each["displayName"]: each["seconds"]
            for each in summary["nodes"]
            if each["type"] == "Retry" and each["seconds"]
        }
        found.told = summary["outputs"]["parameters"]
    finally:
        timed(environment, "down")
    return found


def train(environment: dict[str, str], home: Path, data: Path) -> tuple[float, dict[str, Any]]:
    """Run the pipeline; seconds, and its summary."""
    file = home / "summary.json"
    seconds = timed(environment, "run", "continuous-training", "--upload", f"source={data}", "--summary", str(file))
    summary: dict[str, Any] = json.loads(file.read_text())
    return seconds, summary


def timed(environment: dict[str, str], *arguments: str) -> float:
    """Wall-clock seconds of one command."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tiphys", *arguments]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"tiphys {' '.join(arguments)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return time.monotonic() - began


@contextmanager
def peak(home: Path) -> Iterator[list[int]]:
    """Sample the memory every two seconds; the list's only item is the highest sum."""
    highest, ended = [0], threading.Event()

    def sample() -> None:
        while not ended.wait(2.0):
            highest[0] = max(highest[0], memory(home))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield highest
    finally:
        ended.set()
        thread.join()


def memory(home: Path) -> int:
    """Summed PSS of every process that knows of the state folder, and of all below them; bytes."""
    total = 0
    for each in family(home):
        try:
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


def family(home: Path) -> set[int]:
    """Process ids: those whose environment or command line names the state folder, and their descendants."""
    mark = str(home).encode()
    parents = {each.pid: each.info["ppid"] for each in psutil.process_iter(["ppid"])}
    found = {pid for pid in parents if mark in _told(pid)} - {os.getpid()}
    grown = True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in found} - found
        found |= below
        grown = bool(below)
    return found - {os.getpid()}


def _told(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def show(repeats: list[Repeat]) -> None:
    """Print medians, the repeats beside them."""
    rows = {
        "servers up, s": [each.up for each in repeats],
        "whole run, nothing cached, s": [each.first for each in repeats],
        "whole run again, unchanged, s": [each.again for each in repeats],
        "idle memory, GiB": [each.idle / GIB for each in repeats],
        "peak memory, GiB": [each.peak / GIB for each in repeats],
        **{f"  step {name}, s": [each.steps[name] for each in repeats] for name in repeats[0].steps},
        **{
            name: [float(each.told[name]) for each in repeats]
            for name in (
                "evaluate-mae",
                "evaluate-status-quo-mae",
                "load-test-p50-ms",
                "load-test-p95-ms",
                "load-test-p99-ms",
            )
        },
    }
    print(f"{'':<34} {'median':>8}   repeats")
    for name, values in rows.items():
        print(f"{name:<34} {statistics.median(values):>8.2f}   {', '.join(f'{value:.2f}' for value in values)}")


if __name__ == "__main__":
    sys.exit(main())
