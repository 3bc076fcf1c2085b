"""What each step of `continuous-training` takes: memory, CPU and room in /tmp; what its contract asks for beside it.

    .venv/bin/python bench/resources.py DATA [--repeats 2] [--json FILE]

Each repeat is a run from an empty state folder. Five times a second every process of a step is asked for its memory:
`anonymous` is what the kernel can't give back (summed PSS of anonymous and shared memory), `with files` adds the
mapped files, counted whole for every process, as if nothing outside of the step shared them: a container's own
libraries are its own. CPU is in cores: the mean of the step and the highest of any second. /tmp is the step's own.

The rule that contracts follow (`--check` exits 1 where one does not):

    memory request  at least the peak with files, + 25 %, + 64 MiB
    memory limit    at least twice the peak with files, + 64 MiB
    CPU request     at least the mean
    CPU limit       at least the peak, in whole cores
    /tmp            at least four times the peak

The 64 MiB are for Argo's own process, which starts the step inside of its container.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from pipeline import PORT_BASE, PROJECT, timed, train

sys.path.insert(0, str(PROJECT))
MIB = 1024**2
PERIOD = 0.2
ARGO = 64 * MIB
STEP = "components."


@dataclass
class Use:
    """What a step took at most over its attempts; bytes, seconds, cores."""

    anonymous: int = 0
    with_files: int = 0
    folder: int = 0
    processes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    cpu_peak: float = 0.0

    @property
    def cpu_mean(self) -> float:
        """Cores over the step's whole life."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0

    def most(self, other: Use) -> Use:
        """The larger of each figure."""
        return Use(**{name: max(value, getattr(other, name)) for name, value in asdict(self).items()})


@dataclass
class Watched:
    """One living step."""

    began: float
    use: Use = field(default_factory=Use)
    cpu: dict[int, float] = field(default_factory=dict)
    second: tuple[float, float] = (0.0, 0.0)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of raw files")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 if a contract gives a step less than the rule says"
    )
    arguments = parser.parse_args()
    found: dict[str, Use] = {}
    for number in range(arguments.repeats):
        print(f"repeat {number + 1} of {arguments.repeats}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as home:
            for name, use in measure(Path(home), arguments.data.resolve()).items():
                found[name] = use.most(found.get(name, Use()))
    if arguments.json:
        arguments.json.write_text(json.dumps({name: asdict(use) for name, use in found.items()}, indent=2))
    short = show(found)
    return 1 if short and arguments.check else 0


def measure(home: Path, data: Path) -> dict[str, Use]:
    """One run in an empty state folder."""
    (home / "jars").symlink_to(PROJECT / ".tiphys" / "jars")
    base = os.environ.get("TIPHYS_PORT_BASE") or str(PORT_BASE)
    environment = {**os.environ, "TIPHYS_HOME": str(home), "TIPHYS_PORT_BASE": base}
    try:
        timed(environment, "up")
        with watching(home) as found:
            train(environment, home, data)
    finally:
        timed(environment, "down")
    return found


@contextmanager
def watching(home: Path) -> Iterator[dict[str, Use]]:
    """Sample every step's processes; the dict is complete when the block ends."""
    found: dict[str, Use] = {}
    ended = threading.Event()

    def sample() -> None:
        alive: dict[int, Watched] = {}
        while not ended.wait(PERIOD):
            now = time.monotonic()
            for root, name in steps(home).items():
                look(alive.setdefault(root, Watched(now, second=(now, 0.0))), root, now, home / "tmp")
                found[name] = alive[root].use.most(found.get(name, Use()))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def steps(home: Path) -> dict[int, str]:
    """The steps that run now: process id of each `python -m components.NAME`, and the name."""
    found = {}
    for each in psutil.process_iter():
        try:
            told = Path(f"/proc/{each.pid}/cmdline").read_bytes().split(b"\0")
            mine = str(home).encode() in Path(f"/proc/{each.pid}/environ").read_bytes()
        except OSError:
            continue
        if mine and b"--inputs" in told and told[1:2] == [b"-m"] and told[2].startswith(STEP.encode()):
            found[each.pid] = told[2].decode().removeprefix(STEP)
    return found


def look(watched: Watched, root: int, now: float, spark: Path) -> None:
    """Add what a step's processes take now."""
    try:
        process = psutil.Process(root)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return
    use, anonymous, files = watched.use, 0, 0
    for each in family:
        try:
            times = each.cpu_times()
            memory = rollup(each.pid)
        except (psutil.Error, OSError):
            continue
        watched.cpu[each.pid] = times.user + times.system
        anonymous += memory["Pss_Anon"] + memory["Pss_Shmem"]
        files += memory["Rss"] - memory["Anonymous"]
    use.anonymous, use.with_files = max(use.anonymous, anonymous), max(use.with_files, anonymous + files)
    use.processes = max(use.processes, len(family))
    with suppress(OSError):
        use.folder = max(use.folder, held(root, spark))
    use.seconds, use.cpu_seconds = now - watched.began, sum(watched.cpu.values())
    began, before = watched.second
    if now - began >= 1:
        use.cpu_peak = max(use.cpu_peak, (use.cpu_seconds - before) / (now - began))
        watched.second = (now, use.cpu_seconds)


def rollup(pid: int) -> dict[str, int]:
    """The sums that the kernel keeps of a process's memory; bytes."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}


def held(root: int, spark: Path) -> int:
    """Bytes in the /tmp of a step, and of Spark's files, which a pod has there, too; what is mounted below is not counted."""
    top = f"/proc/{root}/root"
    mounted = {line.split()[4] for line in Path(f"/proc/{root}/mountinfo").read_text().splitlines()}
    total = 0
    for folder in (f"{top}/tmp", *map(str, spark.glob("blockmgr-*")), *map(str, spark.glob("spark-*"))):  # noqa: S108
        for path, folders, files in os.walk(folder):
            folders[:] = [each for each in folders if f"{path}/{each}".removeprefix(top) not in mounted]
            for file in files:
                with suppress(OSError):
                    total += (Path(path) / file).lstat().st_blocks * 512
    return total


def show(found: dict[str, Use]) -> list[str]:
    """Print what was measured beside what the contracts give; the steps that get less than the rule says."""
    from tiphys.step import contracts, cores, size  # noqa: PLC0415 - the checkout is put on the path first

    head = ("step", "s", "anon", "+files", "request", "limit", "mean", "peak", "request", "limit", "/tmp", "limit")  # noqa: S108
    print(f"{'':<17} {'':>5} {'memory, MiB':>31} {'CPU, cores':>31} {'/tmp, MiB':>15}")  # noqa: S108
    print("{:<17} {:>5} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}".format(*head))
    short = []
    for name, contract in contracts().items():
        use, given = found.get(name, Use()), contract.resources
        print(
            f"{contract.template:<17} {use.seconds:>5.0f} {use.anonymous / MIB:>7.0f} {use.with_files / MIB:>7.0f} "
            f"{size(given.memory) / MIB:>7.0f} {size(given.memory_limit) / MIB:>7.0f} {use.cpu_mean:>7.2f} "
            f"{use.cpu_peak:>7.2f} {cores(given.cpu):>7.2f} {cores(given.cpu_limit):>7.2f} "
            f"{use.folder / MIB:>7.1f} {size(given.scratch) / MIB:>7.0f}"
        )
        enough = (
            size(given.memory) >= 1.25 * use.with_files + ARGO,
            size(given.memory_limit) >= 2 * use.with_files + ARGO,
            cores(given.cpu) >= use.cpu_mean,
            cores(given.cpu_limit) >= use.cpu_peak * 0.95,
            size(given.scratch) >= 4 * use.folder,
        )
        if not all(enough):
            short.append(contract.template)
    if short:
        print(f"less than the rule says: {', '.join(short)}")
    return short


if __name__ == "__main__":
    sys.exit(main())
