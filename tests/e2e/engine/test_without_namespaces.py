"""The recorded cases once more, as an unprivileged user and without private roots."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiphys.engine.differences import DELIBERATE
from tiphys.engine.parity import AS_ARGO, DELIBERATELY, cases

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parents[3]
NOBODY = 65534
RUN_CASES = """
import json, sys
from pathlib import Path
from tiphys.engine import Engine
from tiphys.engine.parity import cases, judge

golden, state = Path(sys.argv[1]), Path(sys.argv[2])
for case in cases(golden):
    found = judge(case, Engine(state / case.name, namespace="argo", private=False))
    print(json.dumps([case.name, found.verdict, found.detail]), flush=True)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of this machine can reach, ours and nobody's."""
    folder = Path("/var/tmp") / f"tiphys-nobody-{os.getpid()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody(open_folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python text as nobody, with the engine and what it imports; skips where we may not become nobody."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become nobody, with setpriv")
    python = readable_python(open_folder)
    library = open_folder / "library"
    shutil.copytree(PROJECT / "tiphys" / "engine", library / "tiphys" / "engine")
    (library / "tiphys" / "__init__.py").write_text("")
    for name in ("yaml", "_yaml", "re2"):
        shutil.copytree(Path(sysconfig.get_path("purelib")) / name, library / name)
    home = open_folder / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)

    def run(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # A /tmp of its own: what others have left in the machine's may be in the way, and must not be touched.
        clean = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o mode=1777 tmpfs /tmp && exec "$@"', "sh"]
        become = [*clean, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
        return subprocess.run(
            [*become, str(python), "-c", text, *arguments],
            capture_output=True, text=True, check=False, cwd="/",
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(library), "HOME": str(home)},
        )  # fmt: skip

    return run


def readable_python(folder: Path) -> Path:
    """An interpreter that nobody can start: a copy of ours, which may lie in someone's home."""
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    copy = folder / "python"
    (copy / "bin").mkdir(parents=True)
    shutil.copy2(base / "bin" / version, copy / "bin" / version)
    shutil.copytree(
        base / "lib" / version, copy / "lib" / version,
        ignore=shutil.ignore_patterns("test", "site-packages", "dist-packages", "__pycache__", "idlelib", "tkinter", "*.a", "ensurepip"),
    )  # fmt: skip
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy2(library, copy / "lib" / library.name)
    return copy / "bin" / version


def test_the_recorded_cases_come_out_the_same_as_nobody_without_namespaces(
    as_nobody: Callable[..., subprocess.CompletedProcess[str]], open_folder: Path
) -> None:
    """Phases, messages, outputs, names and edges do not depend on private roots."""
    golden = shutil.copytree(PROJECT / "tests" / "golden" / "argo", open_folder / "cases")
    done = as_nobody(RUN_CASES, str(golden), str(open_folder / "home"))
    assert done.returncode == 0, done.stderr[-2000:]
    verdicts = {name: (verdict, detail) for name, verdict, detail in map(json.loads, done.stdout.splitlines())}
    assert set(verdicts) == {case.name for case in cases(golden)}
    wanted = {name: DELIBERATELY if name in DELIBERATE else AS_ARGO for name in verdicts}
    assert {name: found for name, found in verdicts.items() if found[0] != wanted[name]} == {}
