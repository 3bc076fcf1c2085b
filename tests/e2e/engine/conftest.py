"""An engine on a fresh state folder, and manifests made from a few lines."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiphys.engine import Engine, RunState, load_text

PROJECT = Path(__file__).resolve().parents[3]
DRIVER = """
import sys
from pathlib import Path
from tiphys.engine import Engine, EngineError, load_file
from tiphys.engine.tree import LiveTree
engine = Engine(Path(sys.argv[1]))
try:
    name = sys.argv[3] if len(sys.argv) > 3 else engine.submit(load_file(Path(sys.argv[2])))
    run = engine.run(name, LiveTree(), command=" ".join(sys.argv))
except EngineError as error:
    sys.exit(f"refused: {error}")
print("end:", run.name, run.phase, run.message)
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """State."""
    return tmp_path / "state"


@pytest.fixture
def engine(state: Path) -> Engine:
    """Engine."""
    return Engine(state)


@pytest.fixture
def run(engine: Engine) -> Callable[..., RunState]:
    """Run a manifest, given as text, in this process."""

    def run_text(text: str, **parameters: str) -> RunState:
        name = engine.submit(load_text(text), parameters=parameters)
        return engine.run(name, handle_signals=False)

    return run_text


@pytest.fixture
def drive(state: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Run a manifest in a process of its own, which a test may kill."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str, *arguments: str) -> subprocess.Popen[str]:
        manifest = tmp_path / "manifest.yaml"
        manifest.write_text(text)
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", DRIVER, str(state), str(manifest), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def read_until() -> Callable[[subprocess.Popen[str], str], str]:
    """Read a process's output until a line holds a text; what was read."""

    def read(process: subprocess.Popen[str], wanted: str) -> str:
        seen = ""
        assert process.stdout is not None
        for line in process.stdout:
            seen += line
            if wanted in line:
                return seen
        msg = f"{wanted!r} never came; the output was:\n{seen}"
        raise AssertionError(msg)

    return read
