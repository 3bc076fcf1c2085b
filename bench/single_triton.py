"""One Triton on free ports for a benchmark, with models as files, and what is asked of it by wrk: no Python in the loop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tritonclient.http as triton_http
import urllib3
from pipeline import PROJECT

from tiphys.stack.servers import triton

OK = 200
_START_S = 60
_LUA = """
local file = io.open("{body}", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.headers["Inference-Header-Content-Length"] = "{header}"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nJSON {{"p50": %f, "p95": %f, "p99": %f, "max": %f, "requests": %d, "us": %d, "errors": %d, "status": %d}}\\n',
    latency:percentile(50), latency:percentile(95), latency:percentile(99), latency.max, summary.requests,
    summary.duration, e.connect + e.read + e.write + e.timeout, e.status))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw of one load, times in ms."""

    p50: float
    p95: float
    p99: float
    most: float
    rate: float
    refused: int
    """Answers that were no 2xx."""
    errors: int


class SingleTriton:
    """A running server; models are put, loaded and asked."""

    def __init__(self, home: Path, port: int, pid: int) -> None:
        """Know where it is."""
        self.models, self.address = home / "models", f"127.0.0.1:{port}"
        self._process = psutil.Process(pid)
        self._scratch = home
        self._pool = urllib3.PoolManager(retries=False, timeout=60.0)

    def load(self, model: str, files: Mapping[str, bytes]) -> None:
        """Write a model's files, path below its folder -> content, and (re)load it."""
        folder = self.models / model
        shutil.rmtree(folder, ignore_errors=True)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        reply = self._pool.request("POST", f"http://{self.address}/v2/repository/models/{model}/load", body=b"{}")
        if reply.status != OK:
            raise SystemExit(f"Triton cannot load {model}: {reply.data.decode()}")

    def cpu_seconds(self) -> float:
        """Processor time that the server and its Python stubs have taken so far."""
        times = [each.cpu_times() for each in (self._process, *self._process.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))

    def statistics(self, model: str) -> dict[str, Any]:
        """Triton's own counts of a model since it was loaded."""
        found: dict[str, Any] = self._pool.request("GET", f"http://{self.address}/v2/models/{model}/stats").json()
        return found["model_stats"][0]

    def question(self, rows: Mapping[str, np.ndarray[Any, Any]]) -> tuple[bytes, int]:
        """Return a request of binary tensors and the length of its header."""
        given = []
        for name, values in rows.items():
            one = triton_http.InferInput(name, list(values.shape), "FP32" if values.dtype == np.float32 else "INT64")
            one.set_data_from_numpy(values)
            given.append(one)
        return triton_http.InferenceServerClient.generate_request_body(given)

    def under_load(self, model: str, question: tuple[bytes, int], connections: int, seconds: int) -> Load:
        """Ask with wrk over so many kept connections, each one question at a time."""
        body, script = self._scratch / "body.bin", self._scratch / "post.lua"
        body.write_bytes(question[0])
        script.write_text(_LUA.format(body=body, header=question[1]))
        url = f"http://{self.address}/v2/models/{model}/infer"
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
        found = json.loads(next(line for line in told.splitlines() if line.startswith("JSON "))[5:])
        times = {name: found[name] / 1000 for name in ("p50", "p95", "p99")}
        rate = (found["requests"] - found["status"]) / found["us"] * 1e6
        return Load(**times, most=found["max"] / 1000, rate=rate, refused=found["status"], errors=found["errors"])


@contextmanager
def single_triton(home: Path, *options: str) -> Iterator[SingleTriton]:
    """Start one, wait until it is ready, end it."""
    (home / "models").mkdir(parents=True, exist_ok=True)
    triton.install_backend(PROJECT, home / "backends")
    ports = _free_ports(3)
    command = [
        str(triton.program_folder(PROJECT) / "bin" / "tritonserver"),
        f"--model-repository={home / 'models'}", f"--backend-directory={home / 'backends'}",
        "--model-control-mode=explicit", "--disable-auto-complete-config", "--exit-on-error=false",
        "--http-address=127.0.0.1", f"--http-port={ports[0]}", "--http-thread-count=4",
        "--grpc-address=127.0.0.1", f"--grpc-port={ports[1]}", "--metrics-address=127.0.0.1",
        f"--metrics-port={ports[2]}", "--allow-gpu-metrics=false", "--allow-cpu-metrics=false",
        "--pinned-memory-pool-byte-size=0", "--exit-timeout-secs=5", "--log-info=false", *options,
    ]  # fmt: skip
    surroundings = {"HOME": str(home), **triton.surroundings(PROJECT)}
    with (home / "triton.log").open("wb") as log:
        process = subprocess.Popen(command, env=surroundings, stdout=log, stderr=log, start_new_session=True)
    try:
        running = SingleTriton(home, ports[0], process.pid)
        _wait(running.address, process, home / "triton.log")
        yield running
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=1.0)
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if pool.request("GET", f"http://{address}/v2/health/ready").status == OK:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.1)
    raise SystemExit(f"Triton did not start: {log.read_text()[-2000:]}")


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return found
