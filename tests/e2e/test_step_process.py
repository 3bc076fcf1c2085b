"""How a step's process ends, whatever its surroundings do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tiphys.settings import PROJECT

pytestmark = pytest.mark.e2e


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_on_a_full_disk_does_not_change_the_exit_code() -> None:
    """Argo decides by the code whether a retry can help; Python's own for a log that it can't write is 120."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "components.etl"]
        assert subprocess.run(command, cwd=PROJECT, stdout=full, stderr=full, check=False).returncode == 65


CONTRACT = """
from tiphys.step import Contract, StepInputs, StepOutputs

CONTRACT = Contract(name="reads_ahead", summary="", inputs=StepInputs, outputs=StepOutputs, effects="external")
"""
STEP = """
import atexit, io, os, tempfile, threading, time
from pathlib import Path

from pyarrow import csv

from tiphys.errors import DataError
from tiphys.step import StepOutputs

class Slow(io.RawIOBase):
    reads = 0

    def readable(self):
        return True

    def read(self, size=-1):
        self.reads += 1
        time.sleep(0.2 if self.reads > 3 else 0)
        return b"1,2\\n" * 20_000

def late():
    time.sleep(0.3)
    print("thread", flush=True)

def run(inputs, context):
    global reader, scratch
    options = csv.ReadOptions(column_names=["a", "b"], block_size=10_000)
    reader = csv.open_csv(Slow(), options)  # from now on a thread of Arrow's reads ahead
    reader.read_next_batch()
    scratch = tempfile.TemporaryDirectory(dir=context.artifact("scratch").parent)
    threading.Thread(target=late).start()
    atexit.register(print, "exit handler")
    print("step")
    if os.environ.get("FAILS"):
        raise DataError("no such rows")
    return StepOutputs()
"""
PROGRAM = """
import sys

import components

components.__path__.append(sys.path[0])
from components.reads_ahead.contract import CONTRACT
from tiphys.step import main

main(CONTRACT)
"""


def reads_ahead(folder: Path, surroundings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a component whose Arrow reads on in a Python file, on a thread of its own, when the step has ended."""
    (folder / "reads_ahead").mkdir()
    for name, text in {"reads_ahead/contract.py": CONTRACT, "reads_ahead/step.py": STEP, "program.py": PROGRAM}.items():
        (folder / name).write_text(text)
    command = [sys.executable, str(folder / "program.py")]
    command += ["--outputs", str(folder / "outputs"), "--artifacts", str(folder / "artifacts")]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **surroundings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("surroundings", "code"), [({}, 0), ({"FAILS": "1"}, 65)])
def test_a_thread_of_a_library_does_not_change_the_exit_code(
    tmp_path: Path, surroundings: dict[str, str], code: int
) -> None:
    """It would abort a Python that is taken apart beneath it; what has to be done at the end is done all the same."""
    found = reads_ahead(tmp_path, surroundings)
    assert found.returncode == code, found.stderr
    assert found.stdout.split("\n") == ["step", "thread", "exit handler", ""]
    assert list((tmp_path / "artifacts").iterdir()) == []
    assert "Fatal" not in found.stderr
