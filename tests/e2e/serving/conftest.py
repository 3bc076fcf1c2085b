"""Models made by hand, put where the agent finds them, and the ways to release and to ask them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3
from onnx import TensorProto, helper

from tiphys import stack as servers
from tiphys.lake.s3 import S3
from tiphys.oci import image as images
from tiphys.oci.layout import Layout
from tiphys.release import passport
from tiphys.release.client import LedgerClient
from tiphys.release.records import Evidence, EvidenceRecorded, Observed, Recorded, Release
from tiphys.serving import model_image
from tiphys.serving.agent_client import AgentClient
from tiphys.serving.gateway_client import GatewayClient, Reply
from tiphys.serving.repository import Repository, build
from tiphys.serving.triton import TritonControl
from tiphys.settings import PROJECT, AskerSettings, LedgerSettings, PassportSettings, S3Settings, load
from tiphys.usecase import UseCase

TINY = "tests.usecases.tiny"
QUESTION = {"litres": 2.0, "celsius": 20}


def linear_onnx(factor: float) -> bytes:
    """A model that says litres * factor, whatever the temperature."""
    inputs = [
        helper.make_tensor_value_info("litres", TensorProto.FLOAT, ["rows", 1]),
        helper.make_tensor_value_info("celsius", TensorProto.INT64, ["rows", 1]),
    ]
    output = helper.make_tensor_value_info("seconds", TensorProto.FLOAT, ["rows", 1])
    weight = helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor])
    nodes = [
        helper.make_node("Cast", ["celsius"], ["warm"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["warm", "nothing"], ["ignored"]),
        helper.make_node("Mul", ["litres", "factor"], ["product"]),
        helper.make_node("Add", ["product", "ignored"], ["seconds"]),
    ]
    nothing = helper.make_tensor("nothing", TensorProto.FLOAT, [1], [0.0])
    graph = helper.make_graph(nodes, "linear", inputs, [output], [weight, nothing])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def packed(files: dict[str, bytes], folder: Path) -> images.Image:
    """An image of a repository's files; the archive of its layer is in ``folder``."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    images.write_layer({f"{model_image.FOLDER}/{path}": folder / path for path in files}, folder / "layer.tar")
    return images.assemble(folder / "layer.tar", model_image.CONTENT, {})


@dataclass
class Shop:
    """A stack with models made by hand: put, release, ask, and take servers away."""

    stack: Any
    number: int = 9000
    answers: dict[str, float] = field(default_factory=dict)

    def make(self, factor: float, onnx: bytes | None = None, number: int | None = None) -> Repository:
        """A repository of the next version number, or of the given one."""
        self.number += 1
        reference: dict[str, list[float]] = {"litres": [1.0, 2.0], "celsius": [10, 20], "seconds": [factor, 2 * factor]}
        return build(UseCase(TINY), str(number or self.number), onnx or linear_onnx(factor), reference)

    def put(self, repository: Repository, where: str = "", **other: bytes) -> Release:
        """Upload it and its image, with other bytes for some files if wanted (``model_onnx=...``); name its release."""
        where = where or f"tiny/{repository.manifest.version}/"
        files = {
            path: other.get(path.rpartition("/")[2].replace(".", "_"), content)
            for path, content in repository.files.items()
        }
        store = self.store("package")
        for path, content in files.items():
            store.put(f"s3://models/{where}{path}", content)
        layout = f"s3://models/images/{where.rstrip('/')}"
        with tempfile.TemporaryDirectory() as scratch:
            image = packed(files, Path(scratch))
            Layout(layout, store).write(image)
        return Release(
            use_case=TINY,
            model_version=f"models:/tiny/{repository.manifest.version}",
            repository=f"s3://models/{where}",
            manifest_sha256=repository.manifest_sha256,
            image=f"{layout}@{image.digest}",
            run=f"test-{repository.manifest.version}",
        )

    def store(self, component: str) -> S3:
        """S3, with that component's own key."""
        return S3(load(S3Settings, self.stack.environment(component)))

    def ledger(self, component: str = "promote") -> LedgerClient:
        """The ledger, with that component's token."""
        return LedgerClient(load(LedgerSettings, self.stack.environment(component)))

    def prove(self, release: Release, **missed: str) -> list[EvidenceRecorded]:
        """Leave evidence of every kind that held; ``load_test="too slow"`` leaves one that did not."""
        what = release.model_dump(include={"use_case", "model_version", "manifest_sha256", "run"})
        figures = {"mae": 20.5, "status_quo.mae": 40.0, "lightgbm.mae": 22.0}
        content = {"dataset": "tiny.boilings@test", "revision": "0" * 40, "metrics": figures, "verdict": "passed"}
        reasons = {kind: missed.get(kind.replace("-", "_"), "") for kind in passport.KINDS}
        return [
            self.ledger("cli").add_evidence(
                Evidence(**what, kind=kind, held=not why, content={**content, "reasons": [why]} if why else content)
            )
            for kind, why in reasons.items()
        ]

    def certified(self, release: Release) -> Release:
        """The same with evidence of every kind and a passport: what production asks for."""
        key = load(PassportSettings, self.stack.environment("cli")).key
        sealed = passport.seal(passport.state(release, self.prove(release), "a test", release.run), key)
        return release.model_copy(update={"passport": self.ledger("cli").add_passport(sealed)})

    def release(self, release: Release, environment: str = "staging") -> Recorded:
        """Write it into the ledger; production gets it with a passport."""
        ledger = self.ledger()
        if environment == "production" and not release.passport and release.kind == "release":
            release = self.certified(release)
        return ledger.release_over(ledger.current(environment), release)

    def serve(self, factor: float, environment: str = "staging") -> Observed:
        """Make, put, release, and wait until it serves."""
        recorded = self.release(self.put(self.make(factor)), environment)
        return self.ledger().wait_until_served(recorded, 60)

    def gateway(self) -> GatewayClient:
        """The gateway."""
        key = load(AskerSettings, self.stack.environment("cli")).key
        return GatewayClient(self.stack.config["TIPHYS_GATEWAY_URL"], key=key)

    def ask(self, environment: str = "staging") -> Reply:
        """Ask how long two litres take."""
        path = "/v1/kettle" if environment == "production" else "/staging/v1/kettle"
        return self.gateway().ask_when_mounted(path, QUESTION)

    def answer(self, environment: str = "staging") -> tuple[float, str]:
        """Return seconds and the version that said so."""
        reply = self.ask(environment)
        assert reply.status == 200, reply
        return reply.body["seconds"], reply.body["model_version"]

    def pid(self, server: str) -> int:
        """Process id of a server of the stack."""
        found = next(each.pid for each in servers.status(self.stack.settings) if each.name == server)
        assert found is not None
        return found

    def kill(self, server: str, number: int) -> int:
        """Send a signal to a server; answers with its process id."""
        pid = self.pid(server)
        os.kill(pid, number)
        return pid

    @contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Servers that answer nothing for a while (SIGSTOP: their connections stay open, the worst case)."""
        import signal  # noqa: PLC0415

        pids = [self.pid(each) for each in names]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def cli(self, *words: str, code: int = 0, shell: str = "") -> str:
        """Run ``tiphys WORDS`` with this stack, after ``eval "$(tiphys env SHELL)"``; answers with what it printed."""
        settings = self.stack.settings
        surroundings = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        told = self.stack.environment(shell) if shell else {}
        told |= {"TIPHYS_HOME": str(settings.home), "TIPHYS_PORT_BASE": str(settings.port_base)}
        command = [sys.executable, "-m", "tiphys", *words]
        found = subprocess.run(
            command, env=surroundings | told, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
        )
        assert found.returncode == code, found.stdout + found.stderr
        return found.stdout if "--json" in words else found.stdout + found.stderr

    def page(self, environment: str) -> dict[str, Any]:
        """What the agent says of the tiny model: the page that gateways follow."""
        models = AgentClient(self.stack.config[f"TIPHYS_{environment.upper()}_AGENT"]).serving()["models"]
        return dict(models.get("tiny", {}))

    def triton(self, environment: str, version: str) -> float:
        """Ask an environment's Triton for two litres with that version."""
        inputs: dict[str, tuple[str, float]] = {"litres": ("FP32", 2.0), "celsius": ("INT64", 20)}
        address = self.stack.config[f"TIPHYS_{environment.upper()}_HTTP"]
        return TritonControl(address).ask("tiny", inputs, version)[0]

    def step(self, component: str, folder: Path, code: int = 0, **inputs: Any) -> tuple[str, Path]:
        """Run a component as its container would; answers with its output and the folder of its output files."""
        command = [sys.executable, "-m", f"components.{component}"]
        command += ["--outputs", str(folder / "outputs"), "--artifacts", str(folder / "artifacts")]
        for name, value in inputs.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        surroundings = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = {**surroundings, **self.stack.environment(component), "TIPHYS_RUN": folder.name}
        found = subprocess.run(
            command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False
        )
        assert found.returncode == code, found.stdout + found.stderr
        return found.stdout + found.stderr, folder


@pytest.fixture(scope="session")
def shop(stack: Any) -> Shop:
    """The session's stack with models made by hand."""
    return Shop(stack)


@pytest.fixture
def http() -> urllib3.PoolManager:
    """A plain HTTP client."""
    return urllib3.PoolManager(retries=False, timeout=10.0)


@pytest.fixture
def eventually_answers(shop: Shop, eventually: Callable[..., None]) -> Callable[[tuple[float, str]], None]:
    """``eventually_answers((seconds, version))`` waits until staging says so through the gateway."""

    def wait(expected: tuple[float, str]) -> None:
        def answered() -> bool:
            reply = shop.ask()
            return reply.status == 200 and (reply.body["seconds"], reply.body["model_version"]) == expected

        eventually(answered)

    return wait
