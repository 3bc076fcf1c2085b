"""A disk that fills up while the pipeline runs: one word about it, and the same command finishes once there is room."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.usecases.tiny import simulator as kettles
from tiphys.settings import PROJECT, StackSettings

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 1,400 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1400m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this user cannot mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def command(small: Path, tmp_path: Path, new_stack: Callable[[Path], StackSettings]) -> Iterator[list[str]]:
    """The pipeline of the second use case on a stack whose state lies there."""
    home = small / "home"
    home.mkdir()
    settings = new_stack(home)
    tiphys = ["env", f"TIPHYS_HOME={home}", f"TIPHYS_PORT_BASE={settings.port_base}", sys.executable, "-m", "tiphys"]
    kettles.simulate(tmp_path / "boilings", seed=5)
    subprocess.run([*tiphys, "up"], check=True, cwd=PROJECT)
    upload = ["--upload", f"source={tmp_path / 'boilings'}", "-p", "use-case=tests.usecases.tiny"]
    yield [*tiphys, "run", "continuous-training", *upload]
    subprocess.run([*tiphys, "down"], check=True, cwd=PROJECT)


@pytest.mark.parametrize("step", ["ingest", "etl", "train"])
def test_a_full_disk_stops_the_run_and_room_lets_it_finish(step: str, small: Path, command: list[str]) -> None:
    """Nothing half-written stays in the way of the next run."""
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT)
    assert run.stdout is not None
    assert any(f"● {step} Running" in line for line in run.stdout)
    ballast = small / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            assert shutil.disk_usage(small).free < 1 << 20
    output, _ = run.communicate(timeout=400)
    assert run.returncode != 0, output
    assert "disk" in output
    assert "full" in output
    assert "Traceback" not in output
    ballast.unlink()
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
