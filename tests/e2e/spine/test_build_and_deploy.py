"""The service's own delivery as a person starts it: this repository's revision, its tests, an image, staging by digest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Stack
from tests.e2e.registries import Registry, get
from tiphys.release.client import LedgerClient
from tiphys.settings import PROJECT, LedgerSettings, load

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.mark.usefixtures("container_tools")
def test_a_revision_reaches_staging_by_digest(
    stack: Stack, new_registry: Callable[..., Registry], tmp_path: Path
) -> None:
    """The gateway's image is in the registry, was started from there by its digest, and stands in the ledger."""
    git = subprocess.run(["git", "-C", str(PROJECT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if git.returncode != 0:
        pytest.skip("this checkout is no git repository")
    registry, commit = new_registry(), git.stdout.strip()
    environment = {
        **os.environ,
        "TIPHYS_HOME": str(stack.settings.home),
        "TIPHYS_PORT_BASE": str(stack.settings.port_base),
        "TIPHYS_REGISTRY": registry.settings().registry,
        "TIPHYS_BASE": "bootstrap",
    }

    def tiphys(*words: str) -> None:
        command = [sys.executable, "-m", "tiphys", *words]
        done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    tiphys("up")
    given = {
        "repository": str(PROJECT),
        "revision": commit,
        "images": "gateway",
        "tests": "tests/unit/oci tests/unit/release",
    }
    tiphys("run", "build-and-deploy", *(word for name, value in given.items() for word in ("-p", f"{name}={value}")))
    del environment["TIPHYS_REGISTRY"]
    tiphys("up")
    released = LedgerClient(load(LedgerSettings, stack.environment("deploy_service"))).services("staging")[0]
    image = released.images["gateway"]
    assert released.revision == commit
    assert f"{image} started by digest, healthy, asked a rider's question" in released.reason
    assert image.startswith(f"{registry.host}/team/gateway@sha256:")
    assert get(registry.host, f"team/gateway/manifests/{image.rpartition('@')[2]}").status == 200
