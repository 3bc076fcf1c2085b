"""Rendering all workflows: the wall-clock time of a cold `tiphys render --check`, and what of it is loading Hera.

    .venv/bin/python bench/render.py [--repeats 7]

The files must be fresh, or there are no figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    commands = {
        "tiphys render --check": ["-m", "tiphys", "render", "--check"],
        "  of it: import hera.workflows": ["-c", "import hera.workflows"],
        "  of it: Python itself": ["-c", "pass"],
    }
    print(f"{'seconds':<32} {'median':>8} {'CPU':>8}   repeats")
    for name, command in commands.items():
        walls, cpus = zip(*(timed(command) for _ in range(arguments.repeats)), strict=True)
        listed = ", ".join(f"{each:.2f}" for each in walls)
        print(f"{name:<32} {statistics.median(walls):>8.2f} {statistics.median(cpus):>8.2f}   {listed}")
    return 0


def timed(command: list[str]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one Python."""
    began, before = time.monotonic(), os.times()
    done = subprocess.run([sys.executable, *command], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - began, cpu


if __name__ == "__main__":
    sys.exit(main())
