"""Releases for bench/serving.py: the model of an agent's copy under any version number, put into S3, proven, signed, released.

The ledger takes them as it takes those of the pipeline's steps: what is made up is only what the evidence says.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tiphys.lake.s3 import S3
from tiphys.oci import image as images
from tiphys.oci.layout import Layout
from tiphys.release import passport
from tiphys.release.client import LedgerClient
from tiphys.release.records import Evidence, Recorded, Release
from tiphys.serving import model_image
from tiphys.serving.repository import Repository, build
from tiphys.settings import LedgerSettings, PassportSettings, S3Settings, load
from tiphys.stack import environment
from tiphys.stack.spec import Plan
from tiphys.step import contracts
from tiphys.usecase import UseCase

MODEL = "taxi_eta"
_WIDTH = 2048


def repository(copy: Path, version: str, *, products: int = 0) -> Repository:
    """The model of an agent's copy, the status quo with it; ``products`` make it slower (see :func:`slowed`)."""
    content = next(copy.glob(f"{MODEL}/*/model.onnx")).read_bytes()
    reference = json.loads((copy / "reference.json").read_text())
    fallback = copy / "fallback.npz"
    kept = fallback.read_bytes() if fallback.exists() else None
    return build(UseCase(MODEL), version, slowed(content, products) if products else content, reference, fallback=kept)


def slowed(content: bytes, products: int) -> bytes:
    """The same model with so many products with a 2048x2048 matrix for each row, whose outcome counts nothing."""
    model = onnx.load_from_string(content)
    graph = model.graph
    given, outputs = graph.input[0].name, [each.name for each in graph.output]
    for node in graph.node:
        for at, name in enumerate(node.output):
            if name in outputs:
                node.output[at] = f"{name}__fast"
    ones, square = np.ones((1, _WIDTH), np.float32), np.full((_WIDTH, _WIDTH), 1 / _WIDTH, np.float32)
    zero, axes = np.zeros(1, np.float32), np.array([1], np.int64)
    arrays = {"slow__ones": ones, "slow__square": square, "slow__zero": zero, "slow__axes": axes}
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    graph.node.append(helper.make_node("Cast", [given], ["slow__row"], to=onnx.TensorProto.FLOAT))
    graph.node.append(helper.make_node("MatMul", ["slow__row", "slow__ones"], ["slow__0"]))
    for at in range(products):
        graph.node.append(helper.make_node("MatMul", [f"slow__{at}", "slow__square"], [f"slow__{at + 1}"]))
    graph.node.append(helper.make_node("ReduceMean", [f"slow__{products}", "slow__axes"], ["slow__mean"], keepdims=1))
    graph.node.append(helper.make_node("Mul", ["slow__mean", "slow__zero"], ["slow__nothing"]))
    for name in outputs:
        graph.node.append(helper.make_node("Add", [f"{name}__fast", "slow__nothing"], [name]))
    found: bytes = model.SerializeToString()
    return found


class Releases:
    """What writes into one stack's ledger and S3."""

    def __init__(self, plan: Plan) -> None:
        """Find both by the plan."""
        self._plan = plan

    def _told(self, component: str) -> dict[str, str]:
        return environment(self._plan.settings, contracts(), component)

    def ledger(self, component: str = "promote") -> LedgerClient:
        """The ledger, with that component's token."""
        return LedgerClient(load(LedgerSettings, self._told(component)))

    def serve(self, repository: Repository, seconds: float = 60.0) -> Recorded:
        """Release it into production as ``promote`` does, and wait until the agent says that it serves."""
        ledger = self.ledger()
        recorded = ledger.release_over(ledger.current("production"), self._certified(self._put(repository)))
        ledger.wait_until_served(recorded, seconds)
        return recorded

    def _put(self, repository: Repository) -> Release:
        where = f"bench/{repository.manifest.version}"
        store = S3(load(S3Settings, self._told("package")))
        for path, content in repository.files.items():
            store.put(f"s3://models/{where}/{path}", content)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = {f"{model_image.FOLDER}/{path}": folder / path for path in repository.files}
            for path, content in repository.files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
            images.write_layer(files, folder / "layer.tar")
            image = images.assemble(folder / "layer.tar", model_image.CONTENT, {})
            Layout(f"s3://models/images/{where}", store).write(image)
        return Release(
            use_case=repository.manifest.use_case,
            model_version=f"models:/{MODEL}/{repository.manifest.version}",
            repository=f"s3://models/{where}/",
            manifest_sha256=repository.manifest_sha256,
            image=f"s3://models/images/{where}@{image.digest}",
            run=f"bench-{repository.manifest.version}",
        )

    def _certified(self, release: Release) -> Release:
        """With evidence of every kind and a passport: what production asks for."""
        what = release.model_dump(include={"use_case", "model_version", "manifest_sha256", "run"})
        content: dict[str, Any] = {
            "dataset": "bench",
            "revision": "0" * 40,
            "metrics": {"mae": 1.0},
            "verdict": "passed",
        }
        ledger = self.ledger("cli")
        evidence = [
            ledger.add_evidence(Evidence(**what, kind=kind, held=True, content=content)) for kind in passport.KINDS
        ]
        key = load(PassportSettings, self._told("cli")).key
        sealed = passport.seal(passport.state(release, evidence, "bench/serving.py", release.run), key)
        return release.model_copy(update={"passport": ledger.add_passport(sealed)})
