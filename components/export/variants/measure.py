"""One measurement in a process of its own: load a model, ask it, and tell what that took.

Run as ``python -m components.export.variants.measure RUNTIME MODEL ROWS SECONDS``, also by another Python that has a
runtime which this project's has not: it needs NumPy, one runtime, and nothing of this project. The last line of what it prints is
a JSON object; ``not_run`` in it says why nothing was measured.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 1024
"""Rows of a batch."""
_QUESTIONS = 64
"""Single rows that are asked in turn."""
_WARM = 20
_LEAST, _LEAST_BATCHES = 200, 5
"""Fewest questions that percentiles are told of."""

Rows = Mapping[str, np.ndarray[Any, Any]]
Ask = Callable[[Rows], list[np.ndarray[Any, Any]]]


class NotRunError(Exception):
    """Why this runtime cannot run here."""


def main() -> None:
    """Measure and print."""
    runtime, model, rows, seconds = sys.argv[1:]
    try:
        told = _measured(runtime, Path(model), dict(np.load(rows, allow_pickle=False)), float(seconds))
    except NotRunError as error:
        told = {"not_run": str(error)}
    except Exception as error:  # noqa: BLE001 - what a runtime says of a model that it cannot run, in one line
        told = {"not_run": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    sys.stdout.write(json.dumps(told) + "\n")


def _measured(runtime: str, model: Path, rows: Rows, seconds: float) -> dict[str, Any]:
    load = RUNTIMES[runtime]
    maker = load()
    before, began = _memory("VmRSS"), time.perf_counter()
    ask = maker(model)
    load_ms = 1000 * (time.perf_counter() - began)
    answers = model.with_suffix(".answers.npy")
    np.save(answers, np.column_stack([each.reshape(-1) for each in ask(rows)]))
    asked = range(min(_QUESTIONS, len(next(iter(rows.values())))))
    singles = [{name: values[at : at + 1] for name, values in rows.items()} for at in asked]
    batch = {name: np.resize(values, (BATCH, 1)) for name, values in rows.items()}
    single_ms, single_cpu_ms = _asked(ask, singles, seconds, _LEAST)
    batch_ms, batch_cpu_ms = _asked(ask, [batch], seconds, _LEAST_BATCHES)
    return {
        "load_ms": load_ms,
        "mean_ms": float(single_ms.mean()),
        "cpu_ms": single_cpu_ms,
        "batch_cpu_ms": batch_cpu_ms,
        "p50_ms": float(np.percentile(single_ms, 50)),
        "p95_ms": float(np.percentile(single_ms, 95)),
        "p99_ms": float(np.percentile(single_ms, 99)),
        "rows_per_s": 1000 * BATCH / float(np.median(batch_ms)),
        "memory_mb": (_memory("VmHWM") - before) / 1000,
        "answers": str(answers),
    }


def _asked(ask: Ask, questions: Sequence[Rows], seconds: float, least: int) -> tuple[np.ndarray[Any, Any], float]:
    """Ask in turn for so long and so often at least, the first few not counted.

    Returns the milliseconds of each, and the processor's for one on average, which others on the machine hardly change.
    """
    for each in itertools.islice(itertools.cycle(questions), _WARM):
        ask(each)
    taken: list[float] = []
    spent = time.process_time()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(taken) < least:
        began = time.perf_counter()
        ask(questions[len(taken) % len(questions)])
        taken.append(time.perf_counter() - began)
    return 1000 * np.array(taken), 1000 * (time.process_time() - spent) / len(taken)


def _memory(field: str) -> int:
    """Kilobytes of this process: VmRSS now, VmHWM at most so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def _onnxruntime(*providers: str) -> Callable[[], Callable[[Path], Ask]]:
    def load() -> Callable[[Path], Ask]:
        import onnxruntime  # noqa: PLC0415 - each runtime only where it is asked for

        there = onnxruntime.get_available_providers()
        if providers[0] not in there:
            message = f"this ONNX Runtime has no {providers[0]} (it has {', '.join(there)}): install onnxruntime-gpu"
            raise NotRunError(message)

        def session(path: Path) -> Ask:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 3
            made = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
            if made.get_providers()[0] != providers[0]:
                message = f"{providers[0]} could not be started here: its libraries or the GPU are missing"
                raise NotRunError(message)
            return lambda rows: made.run(None, rows)

        return session

    return load


def _openvino(precision: str) -> Callable[[], Callable[[Path], Ask]]:
    def load() -> Callable[[Path], Ask]:
        try:
            import openvino  # type: ignore[import-not-found]  # noqa: PLC0415
        except ImportError:
            message = "openvino is not installed in this Python"
            raise NotRunError(message) from None
        core = openvino.Core()
        if precision != "f32" and precision.upper() not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            message = f"this processor computes nothing in {precision}"
            raise NotRunError(message)

        def compiled(path: Path) -> Ask:
            hints = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
            request = core.compile_model(str(path), "CPU", hints).create_infer_request()
            return lambda rows: [np.array(each) for each in request.infer(dict(rows), share_inputs=True).values()]

        return compiled

    return load


def _tensorrt() -> Callable[[Path], Ask]:
    try:
        from components.export.variants.tensorrt_engine import engine  # noqa: PLC0415
    except ImportError as error:
        message = f"{error.name} is not installed in this Python"
        raise NotRunError(message) from None
    return engine


RUNTIMES: Mapping[str, Callable[[], Callable[[Path], Ask]]] = {
    "onnxruntime": _onnxruntime("CPUExecutionProvider"),
    "onnxruntime-cuda": _onnxruntime("CUDAExecutionProvider", "CPUExecutionProvider"),
    "onnxruntime-tensorrt": _onnxruntime("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
    "openvino": _openvino("f32"),
    "openvino-bf16": _openvino("bf16"),
    "tensorrt": _tensorrt,
}


if __name__ == "__main__":
    main()
