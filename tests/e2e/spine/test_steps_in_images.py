"""The pipeline with steps in their own images: the same manifest, the same servers, the same end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.usecases.tiny import simulator as kettles
from tiphys import __version__
from tiphys.placement import settle
from tiphys.settings import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("container_tools")]
TAG = "tiny"
TINY = "tests.usecases.tiny"
LIGHT = ("ingest", "integration-test", "load-test")
HEAVY = ("etl", "check-data", "train", "evaluate", "export", "package", "deploy", "promote", "summary")
Train = Callable[..., dict[str, Any]]


def buildah(*words: str) -> str:
    """What buildah says."""
    done = subprocess.run(["buildah", *words], check=True, capture_output=True, text=True, timeout=300)
    return done.stdout.strip()


def with_use_case(name: str) -> str:
    """Add the second use case to an image, as a user adds one of their own; the id of the new image."""
    working = buildah("from", "--pull-never", f"localhost/tiphys/{name}:{__version__}")
    buildah("copy", working, str(PROJECT / "tests" / "usecases"), "/opt/tiphys/tests/usecases")
    return buildah("commit", "--quiet", "--rm", working, f"localhost/tiphys/{name}:{TAG}")


def tiphys(stack: Any, *words: str) -> None:
    """Run a command on the session's stack; it must succeed."""
    place = {"TIPHYS_HOME": str(stack.settings.home), "TIPHYS_PORT_BASE": str(stack.settings.port_base)}
    command = [sys.executable, "-m", "tiphys", *words]
    done = subprocess.run(
        command, env={**os.environ, **place}, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def train(stack: Any, tmp_path: Path) -> Iterator[Train]:
    """Run the pipeline on the second use case, with the images of these steps; the run's summary."""
    raw, manifest, summary = tmp_path / "raw", tmp_path / "manifest.yaml", tmp_path / "summary.json"
    raw.mkdir()
    kettles.simulate(raw)
    rendered = PROJECT / "workflows" / "rendered" / "continuous-training.yaml"
    documents = settle(list(yaml.load_all(rendered.read_text(), Loader=yaml.CSafeLoader)), tag=TAG)
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "in-images-"},
        "spec": {"workflowTemplateRef": {"name": "continuous-training"}},
    }
    manifest.write_text(yaml.safe_dump_all([*documents, workflow]))
    made: list[str] = []

    def run(names: tuple[str, ...]) -> dict[str, Any]:
        made.extend(with_use_case(name) for name in names)
        patterns = ",".join(f"tiphys/{name}:{TAG}" for name in names)
        tiphys(stack, "up")
        tiphys(
            stack, "run", str(manifest), "--upload", f"source={raw}", "-p", f"use-case={TINY}",
            "--containers", patterns, "--summary", str(summary),
        )  # fmt: skip
        mounted = buildah("containers", "--format", "{{.ContainerName}}").split()
        assert {f"tiphys-{identity[:16]}" for identity in made} <= set(mounted), "a step ran outside of its image"
        found: dict[str, Any] = json.loads(summary.read_text())
        return found

    yield run
    for identity in made:
        subprocess.run(["buildah", "rm", f"tiphys-{identity[:16]}"], check=False, capture_output=True, timeout=120)
        subprocess.run(["buildah", "rmi", identity], check=False, capture_output=True, timeout=120)


@pytest.mark.usefixtures("light_images")
def test_the_light_steps_in_their_images_reach_production(train: Train) -> None:
    """They read and write the real S3, take parameters from processes and give some back, and their reports are kept."""
    summary = train(LIGHT)
    told = summary["outputs"]["parameters"]
    assert summary["phase"] == "Succeeded"
    assert int(told["ingest-files"]) > 0
    assert int(told["load-test-errors"]) == 0
    assert "tiny" in told["promote-serving"]


@pytest.mark.long
@pytest.mark.usefixtures("all_images")
def test_every_step_in_its_image_reaches_production(train: Train) -> None:
    """Spark and torch included: nothing of this checkout's environment is used by a step."""
    summary = train((*LIGHT, *HEAVY))
    assert summary["phase"] == "Succeeded"
    assert "tiny" in summary["outputs"]["parameters"]["promote-serving"]
