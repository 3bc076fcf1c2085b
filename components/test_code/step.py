"""The work of ``test-code``: the revision's own tests, in the environment of its own lock, with nothing of ours around.

Where the revision's lock is the one that this step's environment was made from, that environment is used; else one is
made from the revision's lock, every package's digest checked.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from components.test_code.contract import CONTRACT, Inputs, Outputs
from tiphys.errors import DataError, GateError, RetryableError
from tiphys.lake import sources
from tiphys.lake.s3 import S3
from tiphys.settings import INSTALLERS, PROJECT
from tiphys.settings import surroundings as lent
from tiphys.step import Context

LOCK = "requirements.lock"
_NAMED = 5

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Test.

    Raises:
        GateError: tests failed; the first are named.
        DataError: the revision is not in the bundle, or has no such tests.
        RetryableError: S3 or the index of packages is away.
    """
    report = context.artifact(CONTRACT.artifacts()["report"])
    with tempfile.TemporaryDirectory(prefix="tests-") as scratch:
        folder, home = Path(scratch) / "source", Path(scratch) / "home"
        home.mkdir()
        sources.clone(inputs.source, inputs.commit, folder, S3())
        python = environment(folder, Path(scratch))
        command = [str(python), "-m", "pytest", *inputs.tests.split(), "-m", "unit", "-q", f"--junitxml={report}"]
        said = subprocess.run(  # noqa: S603 - the revision's own tests, in surroundings of their own
            command, cwd=folder, env=surroundings(folder, home), capture_output=True, text=True, check=False
        )
    print(said.stdout[-20_000:], said.stderr[-5_000:], flush=True)  # noqa: T201 - pytest's own words are the step's log
    if not report.exists():
        last = (said.stdout + said.stderr).strip().splitlines()[-1:] or ["it said nothing"]
        message = f"the tests of {inputs.commit} could not be run: {last[0]}"
        raise DataError(message)
    outputs = Outputs(passed=judge(report, inputs.commit), report=report)
    log.info("%d tests of %s pass", outputs.passed, inputs.commit)
    return outputs


def environment(source: Path, scratch: Path) -> Path:
    """Return the Python of an environment as the revision's lock says.

    Raises:
        RetryableError: it cannot be made, because packages cannot be fetched.
    """
    lock, own = source / LOCK, PROJECT / LOCK
    if own.is_file() and own.read_bytes() == lock.read_bytes():
        log.info("the lock is the one of this step's own environment")
        return Path(sys.executable)
    log.info("another lock: making its environment")
    python, uv = scratch / "environment/bin/python", Path(sys.prefix) / "bin" / "uv"
    for words in (
        ("venv", str(python.parents[1])),
        ("pip", "sync", "--python", str(python), "--require-hashes", str(lock)),
    ):
        command = [str(uv), *words, *(("--python", sys.executable) if words[0] == "venv" else ())]
        done = subprocess.run(  # noqa: S603
            command, env=lent(*INSTALLERS), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            message = f"the environment of the revision's lock cannot be made: {done.stderr.strip()[-500:]}; try again"
            raise RetryableError(message)
    return python


def surroundings(source: Path, home: Path) -> dict[str, str]:
    """What the tests find around them: the revision's code and an empty home; no address, no key of ours."""
    return {
        "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(source),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
        "TIPHYS_HOME": str(home / "tiphys"),
        "LANG": "C.UTF-8",
    }


def judge(report: Path, commit: str) -> int:
    """Return how many tests passed.

    Raises:
        GateError: some did not, or there are none.
    """
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - written by the pytest that we started
    bad = [each for each in cases if each.find("failure") is not None or each.find("error") is not None]
    passed = sum(each.find("skipped") is None for each in cases) - len(bad)
    if bad:
        named = ", ".join(f"{each.get('classname')}.{each.get('name')}" for each in bad[:_NAMED])
        message = f"{len(bad)} of {len(cases)} tests of {commit} fail: {named}; the report has all of them"
        raise GateError(message)
    if not passed:
        message = f"no test of {commit} was run: nothing shows that it works"
        raise GateError(message)
    return passed
