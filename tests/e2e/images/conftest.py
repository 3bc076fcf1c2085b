"""Run a program in an image as a cluster would: its own user, its root read-only, /tmp of its own, nothing of the host."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tiphys.images.audit.content import configuration
from tiphys.images.builders import Builder
from tiphys.images.content import mounted

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def in_container(tmp_path: Path) -> Run:
    """``in_container(tag, *arguments)`` gives the image's own entry point these arguments; ``program=`` replaces it."""

    def run(tag: str, *arguments: str, program: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        config = configuration(Builder("buildah"), tag)
        name = f"tiphys-test-{uuid.uuid4().hex[:12]}"
        bundle = tmp_path / name
        bundle.mkdir()
        subprocess.run(["runc", "spec", "--bundle", bundle], check=True)
        spec = json.loads((bundle / "config.json").read_text())
        user, _, group = config.user.partition(":")
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": int(user), "gid": int(group or user)},
            "args": [*(program or config.entrypoint), *arguments],
            "env": [f"{key}={value}" for key, value in config.environment.items()],
            "cwd": "/tmp",
            "capabilities": {},
            "noNewPrivileges": True,
        }
        spec["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]})
        with mounted(tag) as root:
            spec["root"] = {"path": str(root), "readonly": True}
            (bundle / "config.json").write_text(json.dumps(spec))
            command = ["runc", "run", "--bundle", bundle, name]
            return subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL
            )

    return run
