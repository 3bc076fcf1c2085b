"""The peers of bench/serving.py: other servers around the same model, in environments of their own.

Each has the settings that its documents name for production, access logs off, and ONNX Runtime with one thread. Where the
documents leave a choice to measurement (batching, workers), ``SETTINGS`` has each way, and the bench takes the best. Their code
is in bench/peers, their packages in bench/peers/requirements.txt.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import urllib3
from serving_world import until

_CODE = Path(__file__).parent / "peers"
_PORTS = {"fastapi": 80, "bentoml": 81, "ray_serve": 82, "mlserver": 83}
"""Offsets from the bench's first port; MLServer takes three."""


@dataclass(frozen=True)
class Setting:
    """One way to run a peer."""

    batching: bool = False
    workers: int = 1
    """Processes that answer; for MLServer, processes beside the one that listens (0: none)."""
    proxy: str = ""
    """Ray Serve: what listens, its own proxy (empty) or ``haproxy``."""

    @property
    def about(self) -> str:
        """In words."""
        words = ["batching" if self.batching else "no batching", f"{self.workers} workers", self.proxy]
        return ", ".join(each for each in words if each)


# What its documents say for production, and where it is set: MLServer: `debug` off and `parallel_workers` in settings.json (its
# default is one process beside the one that listens; 0 answers in that one), batches in model-settings.json. BentoML: `workers`,
# `traffic` and batching in bentoml_app.py, its access log off in config.yaml. Ray Serve: RAY_SERVE_THROUGHPUT_OPTIMIZED always and
# RAY_SERVE_ENABLE_HA_PROXY as tried, in its environment (`started`), replicas and batching in ray_serve_app.py. FastAPI:
# `uvicorn --workers` with uvloop and httptools, the session called without a change of threads. ONNX Runtime's one thread is in each app.
SETTINGS = {
    "mlserver": (
        Setting(batching=True, workers=0), Setting(workers=0), Setting(batching=True, workers=1), Setting(workers=2),
    ),
    "bentoml": (
        Setting(batching=True), Setting(batching=True, workers=2), Setting(), Setting(workers=2),
    ),
    "ray_serve": (
        Setting(batching=True), Setting(), Setting(proxy="haproxy"), Setting(batching=True, proxy="haproxy"),
        Setting(workers=2, proxy="haproxy"),
    ),
    "fastapi": (Setting(), Setting(workers=2)),
}  # fmt: skip
"""What is tried of each."""


@dataclass(frozen=True)
class Peer:
    """One server that runs."""

    name: str
    url: str
    pids: list[int]
    ask: Callable[[dict[str, Any]], bytes]
    """A rider's question as this server wants it."""
    read: Callable[[Any], float]
    """Its answer, in seconds."""
    headers: dict[str, str]


def plain(question: dict[str, Any]) -> bytes:
    """As it is."""
    return json.dumps(question).encode()


def listed(question: dict[str, Any]) -> bytes:
    """BentoML's batches: one of one."""
    return json.dumps({"questions": [question]}).encode()


def environment(folder: Path, name: str) -> Path:
    """Return the Python of a peer's environment, made by uv if it is not there."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        lines = (_CODE / "requirements.txt").read_text().splitlines()
        (packages,) = [line.partition(": ")[2].split() for line in lines if line.startswith(f"{name}: ")]
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder / name)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *packages], check=True)
    return python


@contextmanager
def started(  # noqa: PLR0913, PLR0917 - these are what a peer needs
    name: str, setting: Setting, others: Path, folder: Path, model: Path, base: int, tensors: Callable[..., bytes]
) -> Iterator[Peer]:
    """Start one peer and wait until it answers."""
    python, port = environment(others, name), base + _PORTS[name]
    work = folder / name
    work.mkdir(parents=True, exist_ok=True)
    surroundings = {
        **{each: os.environ[each] for each in ("PATH", "HOME") if each in os.environ},
        "BENCH_MODEL": str(model), "BENCH_PORT": str(port), "BENCH_BATCHING": "1" if setting.batching else "",
        "BENCH_WORKERS": str(setting.workers), "PYTHONPATH": str(_CODE), "OMP_NUM_THREADS": "1",
        "BENTOML_HOME": str(work), "BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_HA_PROXY": "1" if setting.proxy == "haproxy" else "0",
    }  # fmt: skip
    argv, path, ask, read = _how(name, setting, python, port, work, tensors)
    with (work / "log").open("ab") as log:
        process = subprocess.Popen(argv, env=surroundings, cwd=work, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}{path}"
    peer = Peer(name, url, [process.pid], ask, read, {})
    try:
        until(lambda: _answers(peer, process), f"{name} answers; its log is {work / 'log'}", 240)
        yield peer
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a peer with all that it started, in whatever session that is."""
    started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for each in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def _how(  # noqa: PLR0913, PLR0917 - these are what a peer needs
    name: str, setting: Setting, python: Path, port: int, work: Path, tensors: Callable[..., bytes]
) -> tuple[list[str], str, Any, Any]:
    if name == "fastapi":
        argv = [str(python), "-m", "uvicorn", "fastapi_app:app", f"--port={port}", f"--workers={setting.workers}",
                "--no-access-log", "--log-level=warning"]  # fmt: skip
        return argv, "/predict", plain, lambda body: body["duration_s"]
    if name == "bentoml":
        settings = {"services": {"Eta": {"logging": {"access": {"enabled": False}}}}}
        (work / "config.yaml").write_text(json.dumps(settings))
        argv = ["env", f"BENTOML_CONFIG={work / 'config.yaml'}", str(python), "-m", "bentoml", "serve", "bentoml_app:Eta",
                "--host=127.0.0.1", f"--port={port}"]  # fmt: skip
        if setting.batching:
            return argv, "/predict", listed, lambda body: body[0]
        return argv, "/predict", plain, lambda body: body["duration_s"]
    if name == "ray_serve":
        return [str(python), str(_CODE / "ray_serve_app.py")], "/predict", plain, lambda body: body["duration_s"]
    told = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "debug": False,
            "parallel_workers": setting.workers}  # fmt: skip
    (work / "settings.json").write_text(json.dumps(told))
    batching = {"max_batch_size": 64, "max_batch_time": 0.001} if setting.batching else {}
    model = {"name": "eta", "implementation": "mlserver_app.Eta", **batching}
    (work / "model-settings.json").write_text(json.dumps(model))
    argv = [str(python), "-m", "mlserver.cli.main", "start", str(work)]
    return argv, "/v2/models/eta/infer", tensors, lambda body: body["outputs"][0]["data"][0]


def _answers(peer: Peer, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise SystemExit(f"{peer.name} ended; see its log")
    question = {"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": "2019-06-14T17:30:00", "passengers": 1}
    try:
        answer(peer, question)
    except (urllib3.exceptions.HTTPError, ValueError, KeyError):
        return False
    return True


def answer(peer: Peer, question: dict[str, Any]) -> float:
    """Ask one question."""
    headers = {"Content-Type": "application/json", **peer.headers}
    reply = urllib3.request("POST", peer.url, body=peer.ask(question), headers=headers, timeout=10.0, retries=False)
    if reply.status != HTTPStatus.OK:
        raise ValueError(f"{peer.name} answers {reply.status}: {reply.data[:300]!r}")
    return float(peer.read(reply.json()))
