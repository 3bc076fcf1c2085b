"""Known vulnerabilities of what the locks name, by pip-audit; says so where its service does not really answer."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiphys.images.audit.finding import Finding, verdict
from tiphys.images.audit.pins import LOCKS

KNOWN_BAD = "jinja2==2.4.1"
"""Has had known vulnerabilities for years. A service that tells nothing of it would tell nothing of anything."""

_SECONDS = 600


def vulnerabilities(project: Path) -> list[Finding]:
    """What is known of the locked packages; ``not checked``, with the reason, if nothing can be known here."""
    reason = why_not()
    if reason:
        return [Finding(name, "not checked", f"known vulnerabilities: {reason}") for name in LOCKS]
    found = []
    for name in LOCKS:
        faults = list(_faults(_told(project / name)))
        found += verdict(name, faults, "no known vulnerability in what it names")
    return found


def why_not() -> str:
    """Why the service can't be trusted to answer here; empty if it can."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.txt"
        probe.write_text(KNOWN_BAD + "\n", encoding="utf-8")
        try:
            told = _told(probe)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            said = getattr(error, "stderr", None) or str(error)
            return f"pip-audit's service can't be reached from here ({str(said).strip().splitlines()[-1][:200]})"
    known = any(each.get("vulns") for each in told["dependencies"])
    return "" if known else f"the service that answers here knows nothing of {KNOWN_BAD}, which is known to be bad"


def _told(requirements: Path) -> dict[str, Any]:
    """pip-audit's answer.

    Raises:
        subprocess.SubprocessError: it gave none.
        ValueError: what it gave is none.
    """
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)  # noqa: S603
    if not done.stdout.strip():
        raise subprocess.CalledProcessError(done.returncode, command, stderr=done.stderr or "no answer")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _faults(told: dict[str, Any]) -> Iterator[str]:
    for each in told["dependencies"]:
        if "skip_reason" in each:
            yield f"{each['name']}: not known to the service: {each['skip_reason']}"
        for flaw in each.get("vulns", []):
            fixed = ", ".join(flaw["fix_versions"]) or "none yet"
            yield f"{each['name']} {each['version']}: {flaw['id']} (fixed in {fixed})"
