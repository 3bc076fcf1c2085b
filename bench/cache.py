"""The cache on the whole pipeline: `make run` when nothing has changed, and what runs again when one component has.

    .venv/bin/python bench/cache.py [DATA] [--repeats 3] [--change evaluate export package]

In a copy of this checkout, with a state folder of its own: one `make run` from nothing, then unchanged ones, which are timed, then
one after an edit of each named component: a line of comment at the end of its step.py. Before anything is printed, every
unchanged run must have reached production with every pure and measured step cached, and every run after an edit must have
run that component.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
PORT_BASE = 16600
_ATTEMPTS = 3
LIMIT = 10.0
"""Seconds that an unchanged `make run` may take."""


@dataclass(frozen=True)
class Run:
    """One `make run`: seconds by the wall, and what became of the steps that may be cached."""

    seconds: float
    ran: list[str]
    cached: list[str]
    version: str


@dataclass(frozen=True)
class Checkout:
    """A copy of the project that may be edited, with its own servers."""

    folder: Path
    home: Path
    data: Path | None

    def run(self, attempts: int = 1) -> Run:
        """`make run`, held to its end in production; a busy machine may fail a load test, so a run that has one gets attempts."""
        command = ["make", "run", "TIPHYS=.venv/bin/python -m tiphys", *([f"DATA={self.data}"] if self.data else [])]
        for left in range(attempts - 1, -1, -1):
            began = time.monotonic()
            if self.call(*command, may_fail=left > 0) is not None:
                break
        seconds = time.monotonic() - began
        summary = json.loads(self.tiphys("get", "@latest", "-o", "json"))
        told = {each["name"]: each.get("value", "") for each in summary["status"]["outputs"]["parameters"]}
        ran, cached = self.verdicts(summary["status"]["nodes"].values())
        return Run(seconds, ran, cached, told["promote-serving"])

    def verdicts(self, nodes: Any) -> tuple[list[str], list[str]]:
        """Which steps ran although they may be cached, and which were cached."""
        steps = sorted((each for each in nodes if each["type"] == "Retry"), key=lambda each: each["startedAt"])
        hits = {each["displayName"] for each in steps if (each.get("memoizationStatus") or {}).get("hit")}
        external = {"deploy", "integration-test", "canary", "judge", "promote", "summary"}
        names = [each["displayName"] for each in steps if each["displayName"] not in external]
        return [name for name in names if name not in hits], [name for name in names if name in hits]

    def tiphys(self, *arguments: str) -> str:
        """One command of ours."""
        return self.call(str(PROJECT / ".venv" / "bin" / "python"), "-m", "tiphys", *arguments) or ""

    def call(self, *command: str, may_fail: bool = False) -> str | None:
        """Run a program here; what it printed, None if it failed and may."""
        environment = {**os.environ, "TIPHYS_HOME": str(self.home), "TIPHYS_PORT_BASE": str(PORT_BASE)}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        if done.returncode != 0 and may_fail:
            return None
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=None, help="folder of raw files (default: simulated)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--change", nargs="*", default=["evaluate", "export", "package"], metavar="COMPONENT")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as scratch:
        checkout = copied(Path(scratch), arguments.data and arguments.data.resolve())
        try:
            first = checkout.run(_ATTEMPTS)
            unchanged = [checkout.run() for _ in range(arguments.repeats)]
            changed = {name: edited(checkout, name) for name in arguments.change}
        finally:
            checkout.tiphys("down")
    wrong = [each for each in unchanged if each.ran or each.version != first.version]
    wrong += [each for name, each in changed.items() if name.replace("_", "-") not in each.ran]
    if wrong:
        print(f"not what was claimed: {wrong}: no figures", file=sys.stderr)
        return 1
    times = [each.seconds for each in unchanged]
    print(
        f"unchanged `make run`: {statistics.median(times):.1f} s ({min(times):.1f} to {max(times):.1f}), limit {LIMIT:.0f} s; "
        f"cached: {', '.join(unchanged[0].cached)}"
    )
    for name, each in changed.items():
        print(
            f"{name} edited: {each.seconds:.1f} s; ran again: {', '.join(each.ran)}; cached: {', '.join(each.cached)}"
        )
    return 0


def copied(scratch: Path, data: Path | None) -> Checkout:
    """A copy of the tracked files as they are now, with this checkout's environments and jars."""
    folder, home = scratch / "checkout", scratch / "home"
    scratch.chmod(0o755)  # PostgreSQL does not run as root, and must reach its programs
    home.mkdir()
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, target)
    for name in (".venv", ".venv-triton"):
        (folder / name).symlink_to((PROJECT / name).resolve())
    (home / "jars").symlink_to((PROJECT / ".tiphys" / "jars").resolve())
    return Checkout(folder, home, data)


def edited(checkout: Checkout, component: str) -> Run:
    """`make run` after one more line in a component."""
    with (checkout.folder / "components" / component / "step.py").open("a", encoding="utf-8") as file:
        file.write("\n# edited\n")
    return checkout.run(_ATTEMPTS)


if __name__ == "__main__":
    sys.exit(main())
