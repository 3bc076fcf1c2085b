"""`tiphys serve` on a state folder of its own, with no other server, and requests to it."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import _free_base
from tiphys.settings import PROJECT

Json = dict[str, Any]
ADMIN, NOBODY = "admin", ""
SUSPEND = "suspend"
"""Instead of a script: the step waits to be resumed."""


@dataclass
class Served:
    """A running `tiphys serve`."""

    home: Path
    base: int
    tokens: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Where the API listens."""
        return self.base + 7

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What the command line needs to find it."""
        return {**os.environ, "TIPHYS_HOME": str(self.home), "TIPHYS_PORT_BASE": str(self.base)}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.home / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tiphys", "serve"], cwd=PROJECT, env=self.environment, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=_die_with_the_test,  # noqa: PLW1509  # one call of the C library
        )  # fmt: skip
        log.close()
        self.wait_until_it_answers()
        keys = json.loads((self.home / "secrets" / "keys.json").read_text())
        self.tokens = {**keys["api_tokens"], NOBODY: ""}

    def wait_until_it_answers(self) -> None:
        """Wait until the API is there."""
        until = time.monotonic() + 60
        while True:
            try:
                assert self.ask("GET", "/healthz", token=None)[0] == 200
            except OSError:
                assert time.monotonic() < until, (self.home / "serve.log").read_text()
                time.sleep(0.02)
            else:
                return

    def api(self) -> psutil.Process:
        """The process that answers."""
        assert self.process is not None
        return next(each for each in psutil.Process(self.process.pid).children() if "--api-only" in each.cmdline())

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(30)

    def headers(self, role: str | None = ADMIN) -> dict[str, str]:
        """What makes a request that of a role."""
        return {} if not role else {"Authorization": f"Bearer {self.tokens[role]}"}

    def ask(  # noqa: PLR0913
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str = ADMIN,
        token: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """One request on a connection of its own: status, JSON or bytes, headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {} if token is None else self.headers(role) if not token else {"Authorization": f"Bearer {token}"}
        try:
            connection.request(method, path, sent, {**given, **(headers or {})})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        is_json = (answer.getheader("content-type") or "").startswith("application/json")
        return answer.status, json.loads(content) if is_json and content else content, answer.headers

    def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        status, found, _ = self.ask("GET", path)
        assert status == 200, found
        return found

    def submit(self, *scripts: str, name: str = "", **spec: Any) -> str:
        """Submit steps that run these shell scripts one after the other; the run's name."""
        status, found, _ = self.ask(
            "POST", "/api/v1/workflows/default", {"workflow": steps(*scripts, name=name, **spec)}
        )
        assert status == 200, found
        return str(found["metadata"]["name"])

    def phase(self, name: str) -> str:
        """The phase of a run."""
        return str(self.get(f"/api/v1/workflows/default/{name}")["status"].get("phase"))

    def wait(self, name: str, *phases: str) -> Json:
        """The run when it is in one of these phases."""
        wanted, until = phases or ("Succeeded", "Failed", "Error"), time.monotonic() + 60
        while True:
            found: Json = self.get(f"/api/v1/workflows/default/{name}")
            if found["status"].get("phase") in wanted:
                return found
            assert time.monotonic() < until, found["status"]
            time.sleep(0.02)

    def wait_for_step(self, name: str, step: str, phase: str) -> None:
        """Wait until a step of the run is in that phase."""
        until = time.monotonic() + 60
        while phase not in [each["phase"] for each in self.nodes(name) if each["displayName"] == step]:
            assert time.monotonic() < until, self.nodes(name)
            time.sleep(0.02)

    def nodes(self, name: str) -> list[Json]:
        """The nodes of a run."""
        return list((self.get(f"/api/v1/workflows/default/{name}")["status"].get("nodes") or {}).values())


def _die_with_the_test() -> None:
    """A session that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def steps(*scripts: str, name: str = "", **spec: Any) -> Json:
    """A Workflow whose steps run these shell scripts one after the other."""
    names = [f"s{number}" for number in range(len(scripts))]
    templates: list[Json] = [{"name": "main", "steps": [[{"name": each, "template": each}] for each in names]}]
    for each, script in zip(names, scripts, strict=True):
        container = {"image": "alpine", "command": ["sh", "-c"], "args": [script]}
        templates.append({"name": each, "suspend": {}} if script == SUSPEND else {"name": each, "container": container})
    metadata = {"name": name} if name else {"generateName": "test-"}
    return {"metadata": metadata, "spec": {"entrypoint": "main", "templates": templates, **spec}}


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[[], Served]]:
    """`new_server()` starts one that a test may kill."""
    started: list[Served] = []

    def start() -> Served:
        home = tmp_path / f"home-{len(started)}"
        home.mkdir()
        served = Served(home, _free_base())
        started.append(served)
        served.start()
        return served

    yield start
    for served in started:
        served.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests that leave it as it was."""
    served = Served(tmp_path_factory.mktemp("served"), _free_base())
    served.start()
    yield served
    served.stop()
