"""A real Argo server, where one is named: TIPHYS_ARGO_SERVER, _NAMESPACE, _TOKEN_FILE and _CA_FILE, as for the command line.

Its namespace holds what `tiphys install --print-prerequisites` prints, and its nodes have the image tiphys/summary.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiphys import __version__
from tiphys.settings import ArgoSettings, load

Json = dict[str, Any]
EXECUTOR = "tiphys-executor"


@dataclass
class Cluster:
    """The command line against a real server; what a test made there goes when it ends."""

    folder: Path
    settings: ArgoSettings
    runs: list[str] = field(default_factory=list)

    def __call__(self, *words: str, code: int = 0) -> str:
        """One command that must end with `code`; what it printed, complaints included."""
        answer = subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=600)
        assert answer.returncode == code, f"{words}: {answer.stdout}\n{answer.stderr}"
        return answer.stdout + answer.stderr

    @staticmethod
    def command(*words: str) -> list[str]:
        """The command line of one command."""
        return [sys.executable, "-m", "tiphys", *words]

    def manifest(self, *scripts: str, **spec: Any) -> str:
        """The path of a manifest whose steps run these Python scripts, one after the other."""
        tasks = [
            {"name": f"step-{number}", "template": f"step-{number}", "depends": f"step-{number - 1}" if number else ""}
            for number in range(len(scripts))
        ]
        return self.write(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Workflow",
                "metadata": {"generateName": "tiphys-test-"},
                "spec": {
                    "entrypoint": "main",
                    "serviceAccountName": EXECUTOR,
                    "activeDeadlineSeconds": 600,
                    "templates": [
                        {"name": "main", "dag": {"tasks": tasks}},
                        *(_step(f"step-{number}", script) for number, script in enumerate(scripts)),
                    ],
                    **spec,
                },
            }
        )

    def write(self, document: Json) -> str:
        """The path of a file with that document."""
        path = self.folder / f"{uuid.uuid4().hex}.yaml"
        path.write_text(yaml.safe_dump(document))
        return str(path)

    def submit(self, manifest: str, *words: str) -> str:
        """Submit without waiting; the run's name."""
        name = self("submit", manifest, "-o", "name", *words).split()[0]
        self.runs.append(name)
        return name

    def workflow(self, name: str) -> Json:
        """The Workflow as the server has it."""
        answer: Json = json.loads(self("get", name, "-o", "json"))
        return answer


def _step(name: str, script: str) -> Json:
    container = {"image": f"tiphys/summary:{__version__}", "command": ["python", "-u", "-c"], "args": [script]}
    return {"name": name, "container": container}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The named server; skipped where none is."""
    settings = load(ArgoSettings)
    if not settings.server:
        pytest.skip("TIPHYS_ARGO_SERVER names no Argo server")
    found = Cluster(tmp_path, settings)
    yield found
    for name in found.runs:
        subprocess.run(found.command("delete", name), capture_output=True, check=False, timeout=120)


@pytest.fixture
def interrupted() -> Iterator[Any]:
    """`interrupted(command, sight)` starts a command, presses Ctrl-C once it printed `sight`; exit code and output."""
    started: list[subprocess.Popen[str]] = []

    def run(command: list[str], sight: str) -> tuple[int, str]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        assert process.stdout
        seen = ""
        while sight not in seen:
            line = process.stdout.readline()
            assert line, f"it ended before {sight!r}: {seen}"
            seen += line
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        return process.returncode, seen + rest

    yield run
    for process in started:
        process.kill()
        process.wait()
