"""Ctrl-C in any step: one word about it, an exit code, nothing left behind, and the next run works."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.usecases.tiny import simulator as kettles
from tiphys.settings import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.long]

STEPS = (
    "ingest", "etl", "check-data", "train", "evaluate", "export", "deploy", "integration-test", "load-test", "promote",
)  # fmt: skip


@pytest.fixture(scope="session")
def command(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The pipeline of the second use case on the session's stack."""
    folder: Path = tmp_path_factory.mktemp("kettles")
    kettles.simulate(folder, seed=3)
    place = [f"TIPHYS_HOME={stack.settings.home}", f"TIPHYS_PORT_BASE={stack.settings.port_base}"]
    subprocess.run(["env", *place, sys.executable, "-m", "tiphys", "up"], check=True, cwd=PROJECT)
    run = [sys.executable, "-m", "tiphys", "run", "continuous-training", "--upload", f"source={folder}"]
    return ["env", *place, *run, "-p", "use-case=tests.usecases.tiny"]


@pytest.mark.parametrize("step", STEPS)
def test_ctrl_c_leaves_nothing_behind(step: str, command: list[str]) -> None:
    """The step that runs ends, its processes with it."""
    run = subprocess.Popen(
        [*command, "--fresh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT
    )
    assert run.stdout is not None
    seen = ""
    while f"● {step} Running" not in seen:
        line = run.stdout.readline()
        assert line, f"{step} never ran:\n{seen}"
        seen += line
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=120)
    assert run.returncode != 0
    assert "stopping" in output
    assert "Traceback" not in output
    module = f"components.{step.replace('-', '_')}"
    left = [each for each in psutil.process_iter(["cmdline"]) if module in (each.info["cmdline"] or [])]
    assert left == []


def test_the_next_run_works(command: list[str]) -> None:
    """Whatever was interrupted, the same command then finishes."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False, timeout=600)
    assert done.returncode == 0, done.stdout
