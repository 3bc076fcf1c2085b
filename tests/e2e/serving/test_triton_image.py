"""A real Triton out of a packaged image: pulled by digest by buildah, run by runc, asked known rows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Stack
from tests.e2e.registries import Registry, free_port
from tests.e2e.serving.conftest import TINY, Shop
from tiphys import __version__
from tiphys import stack as servers
from tiphys.oci.push import push_folder
from tiphys.serving.triton import TritonControl
from tiphys.settings import PROJECT
from tiphys.step import contracts

pytestmark = [pytest.mark.e2e, pytest.mark.long]
TAG = f"localhost/tiphys/triton:{__version__}"


def run(*command: str) -> str:
    """Run a program to its end; what it said."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def triton(container_tools: object) -> str:
    """The image of Triton, built here if it is not yet."""
    del container_tools
    run(sys.executable, "-m", "tiphys", "images", "build", "--builder", "buildah", "--base", "bootstrap", "triton")
    return TAG


@contextmanager
def running(image: str, *arguments: str) -> Iterator[None]:
    """The image's own program, run by runc on the machine's network; gone afterwards."""
    container = run("buildah", "from", "--quiet", "--pull", "--tls-verify=false", image)
    config = json.loads(run("buildah", "inspect", container))["OCIv1"]["config"]
    assert config["User"] == "65532:65532"
    how = ["--isolation", "oci", "--runtime", "runc", "--network", "host", "--terminal=false"]
    command = ["buildah", "run", *how, container, "--", *config["Entrypoint"], *config["Cmd"], *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
        run("buildah", "rm", container)


def test_the_packaged_triton_answers_known_rows(  # noqa: PLR0913, PLR0917 - each is a fixture
    stack: Stack,
    triton: str,
    new_registry: Callable[..., Registry],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., None],
) -> None:
    """The step appends the model to Triton's image; what the registry then has by digest serves it without any agent."""
    registry = new_registry()
    run("buildah", "push", "--quiet", triton, f"oci:{tmp_path}/triton")
    base = push_folder(tmp_path / "triton", f"{registry.host}/team/triton", __version__, registry.settings())
    monkeypatch.setenv("TIPHYS_REGISTRY", registry.settings().registry)
    monkeypatch.setenv("TIPHYS_TRITON_IMAGE", str(base))
    info = servers.up(stack.settings, contracts(), lambda _: None)
    try:
        image, number = packaged(Shop(Stack(stack.settings, info.config_map, info.secrets), number=9700), tmp_path)
    finally:
        monkeypatch.undo()
        servers.up(stack.settings, contracts(), lambda _: None)
    http, grpc, metrics = free_port(), free_port(), free_port()
    addresses = [f"--{each}-address=127.0.0.1" for each in ("http", "grpc", "metrics")]
    ports = [f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    with running(image, *addresses, *ports):
        control = TritonControl(f"127.0.0.1:{http}")
        eventually(lambda: control.ready("tiny", number))
        rows: dict[str, Any] = {"litres": ("FP32", 2.0), "celsius": ("INT64", 20)}
        assert control.ask("tiny", rows) == (160.0, number)


def packaged(shop: Shop, folder: Path) -> tuple[str, str]:
    """Put a model into S3 and package it; the image, and the version that must answer."""
    release = shop.put(shop.make(80.0))
    inputs = {"use_case": TINY, "model_version": release.model_version, "dataset": "tiny.served@v-1"}
    repository = {"repository": release.repository, "manifest_sha256": release.manifest_sha256}
    shop.step("package", folder / "step", **inputs, **repository)
    return (folder / "step/outputs/image").read_text(), release.number
