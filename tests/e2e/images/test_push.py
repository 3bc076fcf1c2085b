"""Images pushed to a real registry: their names there, and what is said where it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.registries import PASSWORD, USER, Registry, free_port, get, with_login
from tiphys.settings import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("images")]
Push = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def push(light_images: dict[str, str], tmp_path: Path) -> Push:
    """`tiphys images push` with a state folder, and logins, of the test's own."""
    assert light_images
    (tmp_path / "auth.json").write_text("{}")
    environment = {
        **os.environ,
        "TIPHYS_HOME": str(tmp_path / "home"),
        "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tiphys", "images", "push", "--builder", "buildah", *words]
        return subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=300
        )

    return run


def test_a_cluster_finds_what_was_pushed(push: Push, new_registry: Callable[..., Registry]) -> None:
    """Under the names and the tag that `tiphys install --registry --tag` writes; nothing that only builds need."""
    registry = new_registry()
    done = push(f"{registry.host}/team", "load_test", "ingest", "--tag", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{registry.host}/team/tiphys/ingest:7 pushed in " in done.stdout
    names = json.loads(get(registry.host, "_catalog").data)["repositories"]
    assert names == ["team/tiphys/ingest", "team/tiphys/load-test"]
    assert get(registry.host, "team/tiphys/ingest/manifests/7").status == 200


def test_a_registry_that_wants_a_login_is_named_with_the_remedy(
    push: Push, new_registry: Callable[..., Registry], tmp_path: Path
) -> None:
    """Nothing arrives without one; with the builder's own login all does."""
    registry = new_registry(**with_login(tmp_path))
    done = push(registry.host, "load_test")
    assert done.returncode == 65
    assert f"log in with 'buildah login {registry.host}'" in done.stderr
    login = ["buildah", "login", "--tls-verify=false", "--username", USER, "--password-stdin", registry.host]
    known = {**os.environ, "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    subprocess.run(login, input=PASSWORD, text=True, env=known, check=True, capture_output=True, timeout=60)
    assert push(registry.host, "load_test").returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("127.0.0.1:{port}", "ingest"), 75, "can't be pushed"),
        (("127.0.0.1:{port}", "inges"), 65, "no image 'inges'"),
        (("https://127.0.0.1:{port}", "ingest"), 65, "is none: write HOST"),
        (("127.0.0.1:{port}", "ingest", "--tag", "a b"), 65, "is none: write letters"),
        (
            ("127.0.0.1:{port}", "ingest", "--prefix", "localhost/nothing"),
            65,
            "buildah has no localhost/nothing/ingest:",
        ),
    ],
)
def test_what_can_t_be_pushed_is_named(push: Push, words: tuple[str, ...], code: int, told: str) -> None:
    """Nobody listens there; a name, an address or a tag that can be none; an image that was never built."""
    port = str(free_port())
    done = push(*(each.format(port=port) for each in words))
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert told in done.stderr
