"""Artifacts of steps in the stack's S3 server, as on a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tiphys.engine import BucketStore, Engine
from tiphys.engine.parity import AS_ARGO, Case, cases, judge
from tiphys.settings import S3Settings, StackSettings, load
from tiphys.stack import environment
from tiphys.step import contracts

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


MANIFEST = """apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: to-the-bucket}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: "debian:12", command: [sh, -c], args: ["echo kept > /tmp/o"]}
    outputs: {artifacts: [{name: o, path: /tmp/o, archive: {none: {}}, s3: {key: chosen/o.txt}}]}
"""


def _tiphys(settings: StackSettings, *words: str, artifacts: str = "s3") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "TIPHYS_HOME": str(settings.home), "TIPHYS_PORT_BASE": str(settings.port_base),
        "TIPHYS_ARTIFACTS": artifacts,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "tiphys", *words], env=environment, capture_output=True, text=True, check=False
    )


def test_the_settings_choose_the_bucket(new_stack: Callable[[Path], StackSettings], tmp_path: Path) -> None:
    """`TIPHYS_ARTIFACTS=s3` is all it takes; nothing of the artifact stays in the state folder."""
    settings = new_stack(tmp_path)
    manifest = tmp_path / "wf.yaml"
    manifest.write_text(MANIFEST, encoding="utf-8")
    try:
        up = _tiphys(settings, "up")
        assert up.returncode == 0, up.stdout + up.stderr
        done = _tiphys(settings, "run", str(manifest))
        assert done.returncode == 0, done.stdout + done.stderr
        keys = environment(settings, contracts(), "engine")
        s3 = load(S3Settings, keys)
        store = BucketStore(s3.endpoint, "artifacts", s3.access_key, s3.secret_key)
        store.get("chosen/o.txt", tmp_path / "o")
        assert (tmp_path / "o").read_bytes() == b"kept\n"
        assert not list((settings.home / "engine").rglob("o.txt"))
    finally:
        _tiphys(settings, "down")


def test_a_run_that_would_keep_its_artifacts_elsewhere_is_refused(stack: Stack, tmp_path: Path) -> None:
    """The engine that serves was told where they go when it was started."""
    manifest = tmp_path / "wf.yaml"
    manifest.write_text(MANIFEST, encoding="utf-8")
    done = _tiphys(stack.settings, "run", str(manifest))
    assert (done.returncode, "keeps artifacts in" in done.stderr) == (2, True), done.stderr


def test_another_word_is_refused(stack: Stack) -> None:
    """A misspelt store is not a folder by chance."""
    done = _tiphys(stack.settings, "list", artifacts="s4")
    assert (done.returncode, "folder or s3" in done.stderr) == (65, True)
