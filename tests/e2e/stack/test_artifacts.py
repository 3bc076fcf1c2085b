"""Artifacts of steps in the stack's S3 server, as on a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tiphys.engine import BucketStore, Engine
from tiphys.engine.parity import AS_ARGO, Case, cases, judge
from tiphys.settings import S3Settings, load

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "argo"
CASES = [case for case in cases(GOLDEN) if "artifact" in case.name]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_it_does_what_argo_did(stack: Stack, case: Case, tmp_path: Path) -> None:
    """The recorded cases of artifacts come out the same with a bucket."""
    s3 = load(S3Settings, stack.environment("engine"))
    store = BucketStore(s3.endpoint, "artifacts", s3.access_key, s3.secret_key)
    found = judge(case, Engine(tmp_path, namespace="argo", store=store))
    assert found.verdict == AS_ARGO, found.detail


def test_the_settings_choose_the_bucket(stack: Stack, tmp_path: Path) -> None:
    """`TIPHYS_ARTIFACTS=s3` is all it takes; nothing of the artifact stays in the state folder."""
    manifest = tmp_path / "wf.yaml"
    manifest.write_text(
        """apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: to-the-bucket}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: "debian:12", command: [sh, -c], args: ["echo kept > /tmp/o"]}
    outputs: {artifacts: [{name: o, path: /tmp/o, archive: {none: {}}, s3: {key: chosen/o.txt}}]}
""",
        encoding="utf-8",
    )
    environment = {
        **os.environ, "TIPHYS_HOME": str(stack.settings.home), "TIPHYS_PORT_BASE": str(stack.settings.port_base),
        "TIPHYS_ARTIFACTS": "s3",
    }  # fmt: skip
    command = [sys.executable, "-m", "tiphys", "run", str(manifest)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stack.s3("engine").get_object("artifacts", "chosen/o.txt").data == b"kept\n"
    assert not list((stack.settings.home / "engine").rglob("o.txt"))


def test_another_word_is_refused(stack: Stack) -> None:
    """A misspelt store is not a folder by chance."""
    environment = {**os.environ, "TIPHYS_HOME": str(stack.settings.home), "TIPHYS_ARTIFACTS": "s4"}
    command = [sys.executable, "-m", "tiphys", "list"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "folder or s3" in done.stderr) == (65, True)
