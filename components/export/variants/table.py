"""The table of variants: each is made, asked in a process of its own, and compared with the model and with the truth.

What could not be made or run stands in the table as not run, with the reason.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from components.export.variants import make
from components.export.variants.measure import BATCH
from tiphys.settings import PROJECT

if TYPE_CHECKING:
    from tiphys.usecase import Array, Examples

NO_GPU = "no NVIDIA GPU on this node"
_LONGEST_S = 300
_MILLION_MS = 1e6 / 1000 / 3600
"""Hours that a million answers of a millisecond take."""
_MEASURED = (
    "load_ms", "p50_ms", "p95_ms", "p99_ms", "rows_per_s", "memory_mb", "cost_one_by_one", "cost_in_batches", "cost_on_device",
)  # fmt: skip
_GPU = Path("/dev/nvidiactl")


@dataclass(frozen=True)
class Prices:
    """What an hour of computing costs, in a currency of the user's."""

    core_hour: float
    gpu_hour: float
    device_hour: float
    """Of the asker's own device: its energy, if anybody pays for it."""


@dataclass(frozen=True)
class Kind:
    """A variant that may be made: how, and what runs it."""

    name: str
    runtime: str
    made: Callable[[bytes, Mapping[str, Array]], bytes]
    served: bool = True
    """Whether Triton's onnxruntime backend serves it: only such a variant is released."""
    gpu: bool = False
    accelerator: Literal["", "cuda", "tensorrt"] = ""
    """What that backend is told to compute it with."""


KINDS = (
    Kind("onnx-fp32", "onnxruntime", lambda model, _: model),
    Kind("onnx-optimised", "onnxruntime", lambda model, _: make.optimised(model)),
    Kind("onnx-int8-static", "onnxruntime", make.static_int8),
    Kind("onnx-int8-dynamic", "onnxruntime", lambda model, _: make.dynamic_int8(model)),
    Kind("onnx-fp16", "onnxruntime", lambda model, _: make.fp16(model)),
    Kind("onnx-bf16", "onnxruntime", lambda model, _: make.bf16(model)),
    Kind("openvino-fp32", "openvino", lambda model, _: model, served=False),
    Kind("openvino-bf16", "openvino-bf16", lambda model, _: model, served=False),
    Kind("onnx-cuda", "onnxruntime-cuda", lambda model, _: model, gpu=True, accelerator="cuda"),
    Kind("onnx-tensorrt", "onnxruntime-tensorrt", lambda model, _: model, gpu=True, accelerator="tensorrt"),
    Kind("tensorrt-engine", "tensorrt", lambda model, _: model, served=False, gpu=True),
)


@dataclass(frozen=True)
class Variant:
    """One row of the table; what was not measured is None."""

    name: str
    reason: str = ""
    """Why it was not run; empty where it was."""
    served: bool = True
    gpu: bool = False
    size_mb: float | None = None
    mae: float | None = None
    """Mean absolute error on held-out rows, target's unit."""
    loss: float | None = None
    """How much that is above fp32's, as a share of it; below 0 where it happens to be less."""
    loss_at_most: float | None = None
    """Mean difference from fp32's answers as a share of its error: no truth can make the loss larger."""
    worst_difference: float | None = None
    """Largest difference from fp32's answer, target's unit."""
    load_ms: float | None = None
    p50_ms: float | None = None
    """Of one row, without server or network."""
    p95_ms: float | None = None
    p99_ms: float | None = None
    rows_per_s: float | None = None
    """In batches of 1,024, one core or one GPU."""
    memory_mb: float | None = None
    """Peak memory that model and questions took, the runtime's own not counted."""
    cost_one_by_one: float | None = None
    """Of a million answers to one row each: of the processor's time, or of the GPU's, which is held meanwhile."""
    cost_in_batches: float | None = None
    cost_on_device: float | None = None
    """The same one by one where the asker's device computes, if it is as fast as this core."""

    @property
    def measured(self) -> bool:
        """Whether it was run."""
        return not self.reason

    def told(self) -> dict[str, Any]:
        """Return what there is to say of it, by field name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Bench:
    """How variants are measured."""

    prices: Prices
    seconds: float
    """For one row at a time, and as long for batches."""
    pythons: Mapping[str, str] = field(default_factory=dict)
    """Runtime's library -> the Python that has it, where this one has not."""


def table(
    model: bytes, calibration: Mapping[str, Array], rows: Examples, bench: Bench, kinds: Sequence[Kind] = KINDS
) -> dict[str, tuple[Variant, bytes]]:
    """Make and measure every kind: name -> (row of the table, the model's bytes); the first kind is the yardstick.

    Args:
        model: the exported model, fp32.
        calibration: rows [n, 1] by input that static quantisation may see.
        rows: rows that no variant was made with, with the truth.
        bench: prices, and for how long to measure.
        kinds: what to make.
    """
    found: dict[str, tuple[Variant, bytes]] = {}
    yardstick: Array | None = None
    with tempfile.TemporaryDirectory() as folder:
        questions = Path(folder) / "rows.npz"
        np.savez(questions, allow_pickle=False, **{name: each.reshape(-1, 1) for name, each in rows.features.items()})
        for kind in kinds:
            content, told = _run(kind, model, calibration, Path(folder), bench)
            if "not_run" in told:
                found[kind.name] = (Variant(kind.name, told["not_run"], kind.served, kind.gpu), content)
                continue
            answers = np.load(told.pop("answers"), allow_pickle=False)[:, 0]
            yardstick = answers if yardstick is None else yardstick
            found[kind.name] = (_row(kind, content, told, answers, yardstick, rows.target, bench.prices), content)
    return found


def middle(rounds: Sequence[Variant]) -> Variant:
    """Return the row whose measurements are the medians of the rounds'."""
    names = [each for each in _MEASURED if all(getattr(one, each) is not None for one in rounds)]
    return replace(rounds[0], **{name: statistics.median(getattr(one, name) for one in rounds) for name in names})


def _run(
    kind: Kind, model: bytes, calibration: Mapping[str, Array], folder: Path, bench: Bench
) -> tuple[bytes, dict[str, Any]]:
    if kind.gpu and not _GPU.exists():
        return b"", {"not_run": NO_GPU}
    try:
        content = kind.made(model, calibration)
    except Exception as error:  # noqa: BLE001 - a model that a tool cannot convert is a line of the table, not a failed step
        return b"", {"not_run": f"cannot be made: {type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    path = folder / f"{kind.name}.onnx"
    path.write_bytes(content)
    return content, _asked(kind.runtime, path, folder / "rows.npz", bench)


def _asked(runtime: str, path: Path, rows: Path, bench: Bench) -> dict[str, Any]:
    python = bench.pythons.get(runtime.partition("-")[0], sys.executable)
    command = [python, "-m", "components.export.variants.measure", runtime, str(path), str(rows), str(bench.seconds)]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, cwd=PROJECT, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"not_run": f"did not end within {_LONGEST_S} s"}
    if done.returncode:
        return {"not_run": f"ended with {done.returncode}: {' '.join(done.stderr.split())[-300:]}"}
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _row(  # noqa: PLR0913, PLR0917 - all that a row is made of
    kind: Kind, content: bytes, told: dict[str, Any], answers: Array, fp32: Array, truth: Array, prices: Prices
) -> Variant:
    mae, base = (float(np.abs(each.astype(np.float64) - truth).mean()) for each in (answers, fp32))
    apart = np.abs(answers.astype(np.float64) - fp32)
    hour = prices.gpu_hour if kind.gpu else prices.core_hour
    wall_ms, cpu_ms, batch_cpu_ms = (told.pop(each) for each in ("mean_ms", "cpu_ms", "batch_cpu_ms"))
    single = wall_ms if kind.gpu else cpu_ms
    row = 1000 / told["rows_per_s"] if kind.gpu else batch_cpu_ms / BATCH
    return Variant(
        kind.name,
        served=kind.served,
        gpu=kind.gpu,
        size_mb=len(content) / 1e6,
        mae=mae,
        loss=mae / base - 1 if base else 0.0,
        loss_at_most=float(apart.mean()) / base if base else 0.0,
        worst_difference=float(apart.max()),
        cost_one_by_one=_MILLION_MS * single * hour,
        cost_in_batches=_MILLION_MS * row * hour,
        cost_on_device=None if kind.gpu else _MILLION_MS * single * prices.device_hour,
        **told,
    )
