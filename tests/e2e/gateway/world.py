"""A gateway among real Tritons, without a whole stack: agents are small HTTP servers that say what they are told to."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import numpy as np
import urllib3
from onnx import TensorProto, helper

from tests.e2e.registries import free_port
from tiphys.errors import PermanentError, RetryableError
from tiphys.serving.repository import build
from tiphys.serving.triton import BrokenModelError, TritonControl
from tiphys.settings import PROJECT, StackSettings
from tiphys.stack.servers import triton as triton_server
from tiphys.stack.spec import Plan
from tiphys.usecase import UseCase

TINY = "tests.usecases.tiny"
QUESTION = {"litres": 2.0, "celsius": 20}
KEYS = {"rider": "rider-key", "tester": "tester-key", "slow": "slow-key", "daily": "daily-key", "auditor": "audit-key"}
ADMIN_TOKEN = "admin-token"
PACE = 25.0
"""Seconds by litre that the status quo says."""


def digest(key: str) -> str:
    """What the gateway knows of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def kettle(factor: float, *, interval: bool = True, odd: str = "") -> bytes:
    """A model that says litres * factor, and an interval of a tenth around it; ``odd`` makes it a bad one.

    ``nan`` and ``inf`` answer so for more than 2.5 litres or, with ``!``, always; ``broken`` fails for them.
    """
    inputs = [
        helper.make_tensor_value_info("litres", TensorProto.FLOAT, ["rows", 1]),
        helper.make_tensor_value_info("celsius", TensorProto.INT64, ["rows", 1]),
    ]
    names = ["seconds", "seconds_low", "seconds_high"] if interval else ["seconds"]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1]) for name in names]
    constants = {"factor": factor, "nothing": 0.0, "nine": 0.9, "eleven": 1.1, "border": 2.5}
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [1], [value]) for name, value in constants.items()]
    nodes = [
        helper.make_node("Cast", ["celsius"], ["warm"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["warm", "nothing"], ["ignored"]),
        helper.make_node("Mul", ["litres", "factor"], ["product"]),
        helper.make_node("Add", ["product", "ignored"], ["plain"]),
        *_oddity(odd, weights),
    ]
    if interval:
        nodes.append(helper.make_node("Mul", ["seconds", "nine"], ["seconds_low"]))
        nodes.append(helper.make_node("Mul", ["seconds", "eleven"], ["seconds_high"]))
    graph = helper.make_graph(nodes, "kettle", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def _oddity(odd: str, weights: list[Any]) -> list[Any]:
    kind, always = odd.rstrip("!"), odd.endswith("!")
    if not kind:
        return [helper.make_node("Identity", ["plain"], ["seconds"])]
    if kind == "slow":
        return _seconds_of_work(weights)
    if kind == "twice":  # two answers for each row
        return [helper.make_node("Concat", ["plain", "plain"], ["seconds"], axis=1)]
    if kind in {"nan", "inf"}:
        weights.append(helper.make_tensor("wrong", TensorProto.FLOAT, [1], [float(kind)]))
        border = "nothing" if always else "border"
        return [
            helper.make_node("Greater", ["litres", border], ["over"]),
            helper.make_node("Where", ["over", "wrong", "plain"], ["seconds"]),
        ]
    if kind == "broken":  # a lookup outside of its table
        weights.append(helper.make_tensor("table", TensorProto.FLOAT, [1], [0.0]))
        weights.append(helper.make_tensor("far", TensorProto.INT64, [1], [1000]))
        border = "nothing" if always else "border"
        return [
            helper.make_node("Greater", ["litres", border], ["over"]),
            helper.make_node("Cast", ["over"], ["one"], to=TensorProto.INT64),
            helper.make_node("Mul", ["one", "far"], ["where"]),
            helper.make_node("Gather", ["table", "where"], ["looked"]),
            helper.make_node("Add", ["plain", "looked"], ["seconds"]),
        ]
    message = f"no such model: {odd}"
    raise ValueError(message)


def _seconds_of_work(weights: list[Any]) -> list[Any]:
    """Some seconds for any request, however many rows it has: a zero that is multiplied with a matrix again and again."""
    weights.append(helper.make_tensor("turns", TensorProto.INT64, [], [1000]))
    weights.append(helper.make_tensor("more", TensorProto.BOOL, [], [True]))
    weights.append(helper.make_tensor("size", TensorProto.INT64, [2], [512, 512]))
    matrix = helper.make_tensor_value_info("matrix_in", TensorProto.FLOAT, [512, 512])
    turn = helper.make_graph(
        [
            helper.make_node("MatMul", ["matrix_in", "matrix_in"], ["matrix_out"]),
            helper.make_node("Identity", ["more_in"], ["more_out"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn_number", TensorProto.INT64, []),
            helper.make_tensor_value_info("more_in", TensorProto.BOOL, []),
            matrix,
        ],
        [
            helper.make_tensor_value_info("more_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("matrix_out", TensorProto.FLOAT, [512, 512]),
        ],
    )
    return [
        helper.make_node("ConstantOfShape", ["size"], ["begin"]),
        helper.make_node("Loop", ["turns", "more", "begin"], ["end"], body=turn),
        helper.make_node("ReduceMean", ["end"], ["zero"], keepdims=0),
        helper.make_node("Add", ["plain", "zero"], ["seconds"]),
    ]


class Agent:
    """Says on ``/v1/serving`` what it is told to, as the agent beside a Triton does, and holds a question for news."""

    def __init__(self, environment: str) -> None:
        """Listen on a port that the kernel chooses."""
        self.environment = environment
        self.files: dict[str, bytes] = {}
        self._news = threading.Condition()
        self._number = 1
        self._models: dict[str, Any] = {}
        agent = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path.startswith("/v1/files/"):
                    content = agent.files.get(parts.path.removeprefix("/v1/files/"), b"")
                    self._say(200 if content else 404, content)
                    return
                query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
                self._say(200, agent.page(query.get("after", 0), query.get("wait", 0)))

            def _say(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def page(self, after: int, wait: float) -> bytes:
        """The page, when there is news or the wait is over."""
        with self._news:
            self._news.wait_for(lambda: self._number > after, wait)
            return json.dumps(
                {"number": self._number, "started": "x", "environment": self.environment, "models": self._models}
            ).encode()

    def say(self, model: str, **served: Any) -> None:
        """Serve that from now on; without anything, no more."""
        with self._news:
            if served:
                self._models = {**self._models, model: served}
            else:
                self._models = {name: each for name, each in self._models.items() if name != model}
            self._number += 1
            self._news.notify_all()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Triton:
    """One real Triton, with models put there by hand."""

    environment: str
    plan: Plan
    process: subprocess.Popen[bytes] | None = None
    versions: list[str] = field(default_factory=list)
    configs: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """HOST:PORT over HTTP."""
        return self.plan.ports.address(f"{self.environment}_http")

    @property
    def grpc(self) -> str:
        """HOST:PORT over gRPC."""
        return self.plan.ports.address(f"{self.environment}_grpc")

    @property
    def control(self) -> TritonControl:
        """Loads and asks."""
        return TritonControl(self.address, self.grpc)

    def start(self) -> None:
        """Start it, with an empty repository or what is in it."""
        server = triton_server.server(self.plan, self.environment)
        self.plan.layout.make()
        home = self.plan.layout.data(f"triton-{self.environment}")
        (home / "models").mkdir(parents=True, exist_ok=True)
        if not (home / "backends").exists():
            triton_server.install_backend(PROJECT, home / "backends")
        with (home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                server.command.argv, env=dict(server.command.environment), cwd=home, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        wait_until(self.control.live, 60)

    def put(self, version: str, onnx: bytes, *, beside: bool = False) -> None:
        """Put a version in place of those that are there, or beside them, and load."""
        names = ("seconds", "seconds_low", "seconds_high")
        interval = b"seconds_low" in onnx
        reference = {name: [1.0] for name in (names if interval else names[:1])} | {"litres": [1.0], "celsius": [20.0]}
        repository = build(UseCase(TINY), version, onnx, reference)
        models = self.plan.layout.data(f"triton-{self.environment}") / "models"
        for path, content in repository.files.items():
            if path.endswith(".onnx"):
                (models / path).parent.mkdir(parents=True, exist_ok=True)
                (models / path).write_bytes(content)
        self.versions = [*(self.versions if beside else ()), version]
        config = repository.files["tiny/config.pbtxt"].decode()
        self.show(config.replace(f"versions: [ {version} ]", f"versions: [ {', '.join(self.versions)} ]"))

    def show(self, config: str) -> None:
        """Write a configuration and load it."""
        models = self.plan.layout.data(f"triton-{self.environment}") / "models"
        (models / "tiny" / "config.pbtxt").write_text(config)
        self.configs["tiny"] = config
        self.control.load("tiny")

    def kill(self) -> None:
        """SIGKILL, with the processes that run its models."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def again(self) -> None:
        """Start it once more with the models that it had."""
        self.start()
        self.control.load("tiny")

    def answers(self) -> bool:
        """Whether every version answers now; if Triton or its model died, do what a supervisor and an agent do."""
        assert self.process is not None
        if self.process.poll() is not None:
            self.kill()
            self.again()
        question: dict[str, tuple[str, float]] = {"litres": ("FP32", 1.0), "celsius": ("INT64", 20)}
        try:
            for each in self.versions:
                self.control.ask("tiny", question, each)
        except BrokenModelError:
            self.control.unload("tiny")
            self.control.load("tiny")
            return False
        except (PermanentError, RetryableError):
            return False
        return True

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP: connections stay open and nothing answers. Not every Triton survives it (see :meth:`answers`)."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)
            wait_until(self.answers, 60)


def status_quo_file() -> bytes:
    """A fallback.npz of the kettle, with a band of five seconds."""
    content = io.BytesIO()
    arrays = {"pace": [PACE], "_edges": [], "_low": [-5.0], "_high": [5.0], "_floor": [0.0]}
    np.savez(content, **{name: np.array(values, np.float32) for name, values in arrays.items()})
    return content.getvalue()


def wait_until(what: Callable[[], bool], within: float = 30.0) -> None:
    """Wait until ``what()`` holds."""
    until = time.monotonic() + within
    while not what():
        assert time.monotonic() < until, f"not so after {within:.0f} s"
        time.sleep(0.02)


@dataclass
class World:
    """Agents, Tritons and one gateway."""

    folder: Path
    settings: StackSettings
    agents: dict[str, Agent] = field(default_factory=dict)
    tritons: dict[str, Triton] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    admin_port: int = 0
    grpc_port: int = 0
    generation: int = 0
    version: int = 0
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    s3: str = "http://127.0.0.1:9"
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Have three agents; Tritons when they are asked for."""
        plan = Plan(self.settings, None)  # type: ignore[arg-type]  # no server here has a secret
        for name in ("staging", "canary", "production"):
            self.agents[name] = Agent(name)
            self.tritons[name] = Triton(name, plan)
        self.keys = {
            digest(KEYS["rider"]): {"name": "rider", "role": "rider"},
            digest(KEYS["tester"]): {"name": "tester", "role": "tester"},
            digest(KEYS["slow"]): {"name": "slow", "role": "rider", "rate": 1.0, "burst": 3},
            digest(KEYS["auditor"]): {"name": "auditor", "role": "auditor"},
            digest(KEYS["daily"]): {"name": "daily", "role": "rider", "daily": 5},
        }

    def put(self, environment: str, factor: float = 30.0, onnx: bytes | None = None, *, beside: bool = False) -> str:
        """Put a model into a Triton and load it, as a version that there never was; its number."""
        triton = self.tritons[environment]
        if triton.process is None:
            triton.start()
        self.version += 1
        triton.put(str(self.version), onnx or kettle(factor), beside=beside)
        return str(self.version)

    def serve(self, environment: str, factor: float = 30.0, onnx: bytes | None = None, **more: Any) -> str:
        """Put a model there, and let the agent say that it serves; its version."""
        version = self.put(environment, factor, onnx)
        self.say(environment, version, **more)
        return version

    def reset(self, folder: Path) -> None:
        """Begin anew, with a folder of its own, the Tritons as they are, and agents that say nothing."""
        self.end(signal.SIGKILL)
        self.folder, self.extra, self.port, self.admin_port = folder, {}, 0, 0
        for agent in self.agents.values():
            agent.say("tiny")
            agent.files.clear()
        for triton in self.tritons.values():
            if triton.process is not None and triton.process.poll() is not None:
                triton.process = None

    def say(self, environment: str, version: str, *, fallback: bool = True, **more: Any) -> None:
        """Let the agent say that a version serves."""
        self.generation += 1
        file = status_quo_file()
        self.agents[environment].files["tiny/fallback.npz"] = file
        served = {
            "use_case": TINY, "version": version, "loaded": [version], "generation": self.generation,
            "share": 0.0, "shadow": 0.0, "until": None, "inputs": {"litres": "float32", "celsius": "int64"},
            "outputs": ["seconds", "seconds_low", "seconds_high"],
            "fallback_sha256": hashlib.sha256(file).hexdigest() if fallback else "",
        }  # fmt: skip
        self.agents[environment].say("tiny", **{**served, **more})

    def start(self) -> None:
        """Start the gateway on ports of its own and wait until it listens."""
        self.port, self.admin_port = self.port or free_port(), self.admin_port or free_port()
        self.grpc_port = self.grpc_port or free_port()
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PYTHONPATH": str(PROJECT),
            **{f"TIPHYS_{name.upper()}_HTTP": each.address for name, each in self.tritons.items()},
            **{f"TIPHYS_{name.upper()}_GRPC": each.grpc for name, each in self.tritons.items()},
            **{f"TIPHYS_{name.upper()}_AGENT": each.address for name, each in self.agents.items()},
            "TIPHYS_GATEWAY_URL": f"http://127.0.0.1:{self.port}",
            "TIPHYS_GATEWAY_GRPC": "127.0.0.1:9",
            "TIPHYS_GATEWAY_ADMIN_URL": f"http://127.0.0.1:{self.admin_port}",
            "TIPHYS_GATEWAY_PORT": str(self.port),
            "TIPHYS_GATEWAY_GRPC_PORT": str(self.grpc_port),
            "TIPHYS_GATEWAY_ADMIN_PORT": str(self.admin_port),
            "TIPHYS_GATEWAY_STATE": str(self.folder / "state"),
            "TIPHYS_GATEWAY_USE_CASES": TINY,
            "TIPHYS_GATEWAY_KEYS": json.dumps(self.keys),
            "TIPHYS_ADMIN_TOKEN": ADMIN_TOKEN,
            "TIPHYS_S3_ENDPOINT": self.s3,
            "TIPHYS_S3_ACCESS_KEY": "nobody",
            "TIPHYS_S3_SECRET_KEY": "nothing",
            **self.extra,
        }
        with (self.folder / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tiphys.serving.gateway"],
                env=environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        wait_until(self._listens)

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "gateway.log").read_text()[-3000:]
        try:
            return self.get("/healthz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def logged(self, topic: str) -> list[Any]:
        """Lines of the prediction log, or of the feedback, that a gateway which is down now has left on disk; oldest first."""
        files = sorted((self.folder / "state" / "spool").glob(f"{topic}*"), key=lambda each: each.stat().st_mtime_ns)
        return [json.loads(line) for each in files for line in each.read_text().splitlines()]

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the gateway."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def stop(self) -> None:
        """End everything."""
        self.end(signal.SIGKILL)
        for triton in self.tritons.values():
            if triton.process is not None:
                triton.kill()
        for agent in self.agents.values():
            agent.stop()

    @property
    def url(self) -> str:
        """Where riders ask."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """Read a page."""
        return POOL.request("GET", self.url + path, headers=headers)

    def admin(self, path: str, token: str = ADMIN_TOKEN) -> urllib3.BaseHTTPResponse:
        """Read a page of the admin port."""
        address = f"http://127.0.0.1:{self.admin_port}{path}"
        return POOL.request("GET", address, headers={"Authorization": f"Bearer {token}"})

    def arms(self) -> Any:
        """The admin document."""
        return self.admin("/admin/v1/arms?use_case=tiny").json()

    def figures(self, arm: str, version: str) -> Any:
        """The figures of one version."""
        return next(each for each in self.arms()["arms"] if (each["arm"], each["version"]) == (arm, version))

    def ask(
        self, question: Any = None, path: str = "/v1/kettle", key: str = "rider", **headers: str
    ) -> urllib3.BaseHTTPResponse:
        """Ask a question, JSON or bytes as they are."""
        question = QUESTION if question is None else question
        body = question if isinstance(question, bytes) else json.dumps(question).encode()
        told = {"Content-Type": "application/json", "Authorization": f"Bearer {KEYS.get(key, key)}", **headers}
        return POOL.request(
            "POST", self.url + path, body=body, headers={name: each for name, each in told.items() if each}
        )

    def answers_from(self, arm: str, version: str = "", **headers: str) -> bool:
        """Whether a question is answered from there now."""
        reply = self.ask(**headers)
        return (reply.headers.get("x-tiphys-arm"), reply.headers.get("x-tiphys-version", "")) == (arm, version)


POOL = urllib3.PoolManager(retries=False, timeout=15.0, maxsize=32)


@dataclass(frozen=True)
class Asked:
    """What one question of a rider came to."""

    at: float
    took: float
    status: int
    arm: str
    version: str
    body: Any


class Riders:
    """Threads that ask without a pause, each over a connection of its own, until they are told to stop."""

    def __init__(
        self, world: World, count: int = 6, path: str = "/v1/kettle", key: str = "rider", **headers: str
    ) -> None:
        """Begin to ask."""
        self.asked: list[Asked] = []
        self._world, self._path, self._key, self._headers = world, path, key, headers
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(each,), daemon=True) for each in range(count)]
        for each in self._threads:
            each.start()

    def _ask(self, number: int) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=15.0)
        told = {"Content-Type": "application/json", "Authorization": f"Bearer {KEYS[self._key]}", **self._headers}
        told.setdefault("X-Rider-Id", f"rider-{number}")
        while not self._stop.is_set():
            began = time.monotonic()
            reply = pool.request("POST", self._world.url + self._path, body=json.dumps(QUESTION).encode(), headers=told)
            found = Asked(
                began, time.monotonic() - began, reply.status, reply.headers.get("x-tiphys-arm", ""),
                reply.headers.get("x-tiphys-version", ""), reply.json(),
            )  # fmt: skip
            self.asked.append(found)

    def wait_for(self, more: int) -> None:
        """Wait until so many more questions were answered."""
        goal = len(self.asked) + more
        wait_until(lambda: len(self.asked) >= goal or not any(each.is_alive() for each in self._threads))

    def __enter__(self) -> Self:
        """They ask already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let them finish."""
        self._stop.set()
        for each in self._threads:
            each.join(20)
