"""The recorded cases once more, as an unprivileged user and without private roots."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parents[3]
NOBODY = 65534
RUN_CASES = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tiphys.engine import Engine, ManifestError, load_file
from tiphys.engine.argo_shape import workflow_json
state, cases = Path(sys.argv[1]), json.load(sys.stdin)

def one(case):
    engine = Engine(state / Path(case).stem, namespace="argo", private=False)
    try:
        name = engine.submit(load_file(Path(case)))
        engine.journal.close()
        engine._journal = None
    except ManifestError:
        return case, "rejected"
    run = engine.run(name, handle_signals=False)
    return case, workflow_json(run)

for case in cases:
    print(json.dumps(one(case)), flush=True)
"""


def golden() -> Any:
    """The module that knows the recorded cases and how to compare them."""
    path = next(iter(PROJECT.glob("tests/**/test_golden.py")))
    spec = importlib.util.spec_from_file_location("golden_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    for name in ("yaml", "_yaml"):
        shutil.copytree(Path(sysconfig.get_path("purelib")) / name, library / name)
    home = open_folder / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)

    def run(text: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        # A /tmp of its own: what others have left in the machine's may be in the way, and must not be touched.
        clean = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o mode=1777 tmpfs /tmp && exec "$@"', "sh"]
        become = [*clean, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
        return subprocess.run(
            [*become, str(python), "-c", text, *arguments],
            input=stdin, capture_output=True, text=True, check=False, cwd="/",
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
    known = golden()
    cases = [known.GOLDEN / f"{case}.yaml" for case in known.CASES if case not in known.DELIBERATE]
    if not cases:
        pytest.skip("the recorded cases are not beside this checkout")
    readable = open_folder / "cases"
    readable.mkdir()
    copies = [str(shutil.copy(case, readable)) for case in cases]
    done = as_nobody(RUN_CASES, str(open_folder / "home"), stdin=json.dumps(copies))
    assert done.returncode == 0, done.stderr[-2000:]
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    normalise = known.oracle().normalise
    different = []
    for case, copy in zip(cases, copies, strict=True):
        expected = json.loads(case.with_suffix(".json").read_text())
        if "rejected" in expected:
            same = found[copy] == "rejected"
        else:
            same = found[copy] != "rejected" and json.loads(normalise(found[copy])) == expected
        if not same:
            different.append(case.stem)
            if os.environ.get("DBG"):
                n = found[copy]["status"]["nodes"] if isinstance(found[copy], dict) else {}
                print(case.stem, {x["displayName"]: x.get("message") for x in n.values() if x["phase"] in ("Error","Failed")})
    assert different == []
