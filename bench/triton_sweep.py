"""How Triton should gather requests: batching, delay, instances and clients swept on one Triton; queue limits; ensembles' price.

    .venv/bin/python bench/triton_sweep.py [--model FOLDER] [--seconds 2] [--rounds 2] [--figures docs/figures]

FOLDER is a model repository as export wrote it (`manifest.json`, `reference.json`, `MODEL/...`); without one, the copy that this
checkout's production agent serves from is taken. One Triton is started for all of it on free ports; wrk asks it one row at a time over
HTTP with binary tensors. Printed are tables in Markdown, medians over the rounds; the plots go to the folder of figures.
Needs wrk. Triton's own statistics give what a request spent waiting and computing, and how many rows its batch had.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plots
from single_triton import Load, SingleTriton, single_triton

from tiphys.serving.manifest import MANIFEST, REFERENCE, Manifest
from tiphys.serving.repository import Batching, config
from tiphys.settings import stack_settings
from tiphys.usecase import Feature

CONNECTIONS = (1, 8, 16)
INSTANCES = (1, 2, 4)
GATHERING = {
    "off": Batching(enabled=False),
    "on": Batching(),
    "on, 100 us": Batching(max_queue_delay_us=100),
    "on, 500 us": Batching(max_queue_delay_us=500),
    "on, 2 ms": Batching(max_queue_delay_us=2000),
    "8 within 500 us": Batching(preferred=(8,), max_queue_delay_us=500),
    "16 within 2 ms": Batching(preferred=(16,), max_queue_delay_us=2000),
}
LIMITS = {
    "none": ("", 1, ()),
    "max_queue_size 256": ("default_queue_policy { max_queue_size: 256 }", 1, ()),
    "the same, 2 instances": ("default_queue_policy { max_queue_size: 256 }", 2, ()),
    "the same, 3 instances": ("default_queue_policy { max_queue_size: 256 }", 3, ()),
    "the same, 100 us delay": (
        "max_queue_delay_microseconds: 100 default_queue_policy { max_queue_size: 256 }", 1, (),
    ),
    "the same, preferred sizes": (
        "preferred_batch_size: [ 1, 2, 4, 8 ] default_queue_policy { max_queue_size: 256 }", 1, (),
    ),
    "the same, 2 priorities": (
        "priority_levels: 2 default_priority_level: 1 default_queue_policy { max_queue_size: 256 }", 1, (),
    ),
    "the same, rate limiter": ("default_queue_policy { max_queue_size: 256 }", 1, ("--rate-limit=execution_count",)),
    "reject after 100 ms": (
        "default_queue_policy { timeout_action: REJECT default_timeout_microseconds: 100000 }", 1, (),
    ),
}  # fmt: skip
"""Ways to let Triton reject -> (inside of dynamic_batching, instances, options of the server)."""


@dataclass(frozen=True)
class Model:
    """A model of a repository, and one question."""

    manifest: Manifest
    onnx: bytes
    rows: dict[str, np.ndarray[Any, Any]]

    @classmethod
    def read(cls, folder: Path) -> Model:
        """Read a repository's folder."""
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        reference = json.loads((folder / REFERENCE).read_bytes())
        rows = {name: np.array([reference[name][:1]], dtype).T for name, dtype in manifest.inputs.items()}
        return cls(manifest, (folder / manifest.onnx_path).read_bytes(), rows)

    def files(self, text: str) -> dict[str, bytes]:
        """Its files below the model's folder, with that configuration."""
        return {"config.pbtxt": text.encode(), f"{self.manifest.version}/model.onnx": self.onnx}

    def config(self, batching: Batching) -> str:
        """Its configuration."""
        features = [Feature(name, dtype, "") for name, dtype in self.manifest.inputs.items()]
        return config(self.manifest.model, self.manifest.version, features, self.manifest.outputs, batching)


@dataclass(frozen=True)
class Found:
    """One load: what the clients saw and what Triton says of it."""

    load: Load
    queue_ms: float
    compute_ms: float
    cpu_us: float
    """Processor time of server and stubs for one answer: what a busy machine changes least."""
    batches: dict[int, int]
    """Rows of a batch -> how many of them."""

    @property
    def mean_batch(self) -> float:
        """Rows of a batch on average."""
        return sum(rows * count for rows, count in self.batches.items()) / max(1, sum(self.batches.values()))


def ask(server: SingleTriton, model: Model, connections: int, seconds: int) -> Found:
    """Put one load on a model."""
    name = model.manifest.model
    before, spent = server.statistics(name), server.cpu_seconds()
    load = server.under_load(name, server.question(model.rows), connections, seconds)
    after, spent = server.statistics(name), server.cpu_seconds() - spent

    def grown(part: str) -> float:
        counts = (each["inference_stats"][part] for each in (after, before))
        new, old = ((each["ns"], each["count"]) for each in counts)
        return (new[0] - old[0]) / max(1, new[1] - old[1]) / 1e6

    sizes = [{each["batch_size"]: each["compute_infer"]["count"] for each in s["batch_stats"]} for s in (after, before)]
    batches = {size: count - sizes[1].get(size, 0) for size, count in sizes[0].items()}
    compute = sum(grown(part) for part in ("compute_input", "compute_infer", "compute_output"))
    answers = after["inference_count"] - before["inference_count"]
    cpu = 1e6 * spent / max(1, answers)
    return Found(load, grown("queue"), compute, cpu, {size: count for size, count in batches.items() if count})


def sweep(server: SingleTriton, model: Model, seconds: int) -> Iterator[tuple[str, int, int, Found]]:
    """Each way of gathering, with each number of instances, under each number of clients."""
    for name, batching in GATHERING.items():
        for instances in INSTANCES:
            text = model.config(batching).replace("count: 1", f"count: {instances}")
            server.load(model.manifest.model, model.files(text))
            ask(server, model, 4, 1)
            for connections in CONNECTIONS:
                yield name, instances, connections, ask(server, model, connections, seconds)


def limits(folder: Path, model: Model, seconds: int) -> Iterator[tuple[str, int, Found]]:
    """Each way to let Triton reject, under each number of clients; each on a server of its own."""
    plain = model.config(Batching())
    begin, end = plain.index("dynamic_batching"), plain.index("model_warmup")
    for name, (inside, instances, options) in LIMITS.items():
        text = f"{plain[:begin]}dynamic_batching {{ {inside} }}\n{plain[end:]}".replace(
            "count: 1", f"count: {instances}"
        )
        with single_triton(folder / str(len(name) + instances), *options) as server:
            server.load(model.manifest.model, model.files(text))
            ask(server, model, 4, 1)
            for connections in (1, 2, 3, 8, 16):
                yield name, connections, ask(server, model, connections, seconds)


def middle(values: Iterable[float]) -> float:
    """Median."""
    return statistics.median(values)


def told(rounds: list[Found], *names: str, form: str = ".1f") -> str:
    """Medians of some figures over the rounds, as a cell of the table."""
    values = [middle(getattr(each if hasattr(each, name) else each.load, name) for each in rounds) for name in names]
    return " / ".join(format(each, form) for each in values)


def print_sweep(found: dict[tuple[str, int, int], list[Found]], figures: Path) -> None:
    """Print the table, a line for each way and number of instances, and draw the plots."""
    head = "batching | instances | p50 / p99 ms: 1 client | 8 | 16 | answers/s: 1 | 8 | 16 | at 16: queue / compute ms"
    print(f"| {head} | mean batch | CPU us an answer |\n{'|---' * 11}|")
    for name, instances in dict.fromkeys((name, instances) for name, instances, _ in found):
        keys = [(name, instances, each) for each in CONNECTIONS]
        cells = [told(found[key], "p50", "p99") for key in keys]
        cells += [told(found[key], "rate", form=",.0f") for key in keys]
        last = found[keys[-1]]
        cells += [told(last, "queue_ms", "compute_ms"), told(last, "mean_batch"), told(last, "cpu_us", form=".0f")]
        print(f"| {name} | {instances} | {' | '.join(cells)} |")
    clients = [str(each) for each in CONNECTIONS]
    for field, unit, title in (("rate", "/s", "answers a second, one instance"), ("p99", "ms", "p99, one instance")):
        series = {
            name: [middle(getattr(each.load, field) for each in found[name, 1, c]) for c in CONNECTIONS]
            for name in GATHERING
        }
        plots.lines(figures / f"triton-batching-{field}.svg", f"{title}, by clients", clients, series, unit)
        series = {
            f"{n} instance{'s' * (n > 1)}": [
                middle(getattr(each.load, field) for each in found["on", n, c]) for c in CONNECTIONS
            ]
            for n in INSTANCES
        }
        plots.lines(
            figures / f"triton-instances-{field}.svg", f"{title.partition(',')[0]}, batching on, by clients", clients,
            series, unit,
        )  # fmt: skip
    split = []
    for name in GATHERING:
        rounds = found[name, 1, 16]
        parts = {part: middle(getattr(each, f"{part}_ms") for each in rounds) for part in ("queue", "compute")}
        split.append((name, parts))
    plots.stacks(figures / "triton-split.svg", "Where a request waits: 16 clients, one instance", split, "ms")
    counts: dict[int, int] = {}
    for each in found["on", 1, 16]:
        for size, count in each.batches.items():
            counts[size] = counts.get(size, 0) + count
    shown = [(f"{size} row{'s' * (size > 1)}", 100 * counts[size] / sum(counts.values())) for size in sorted(counts)]
    plots.bars(figures / "triton-batches.svg", "Batches by rows: 16 clients, batching on, no delay", shown, "%")


def recommended(found: dict[tuple[str, int, int], list[Found]]) -> tuple[str, int]:
    """What the repository should have: most answers a second at 16 clients, unless one client's p50 pays for it by a tenth.

    Among what is within a tenth of the best the first of the list wins, with the fewest instances: each one is a process.
    """
    alone = min(middle(each.load.p50 for each in rounds) for (_, _, c), rounds in found.items() if c == 1)
    rates = {
        (name, instances): middle(each.load.rate for each in rounds)
        for (name, instances, c), rounds in found.items()
        if c == CONNECTIONS[-1] and middle(each.load.p50 for each in found[name, instances, 1]) <= 1.1 * alone
    }
    good = [key for key, rate in rates.items() if rate >= 0.9 * max(rates.values())]
    return min(good, key=lambda key: (key[1], list(GATHERING).index(key[0])))


def main() -> None:
    """Sweep, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    parser.add_argument("--only", choices=("sweep", "limits"))
    given = parser.parse_args()
    copies = sorted((stack_settings().home / "agent-production" / "copies").glob("*/manifest.json"))
    if given.model is None and not copies:
        raise SystemExit("no model is in production here: run the pipeline once, or name a folder with --model")
    model = Model.read(given.model or copies[-1].parent)
    with tempfile.TemporaryDirectory() as scratch:
        if given.only != "limits":
            found: dict[tuple[str, int, int], list[Found]] = {}
            with single_triton(Path(scratch) / "sweep") as server:
                for _ in range(given.rounds):
                    for name, instances, connections, one in sweep(server, model, given.seconds):
                        found.setdefault((name, instances, connections), []).append(one)
            print_sweep(found, given.figures)
            name, instances = recommended(found)
            print(f"\nThe configuration should have: batching {name}, {instances} instance(s).\n")
        if given.only != "sweep":
            print(
                "| limit of the queue | clients | p50 ms | p99 ms | most ms | answers/s | refused |\n|---|---|---|---|---|---|---|"
            )
            for name, connections, one in limits(Path(scratch), model, given.seconds):
                load = one.load
                cells = f"{load.p50:.2f} | {load.p99:.1f} | {load.most:.0f} | {load.rate:,.0f} | {load.refused}"
                print(f"| {name} | {connections} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
