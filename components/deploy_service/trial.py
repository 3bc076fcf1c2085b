"""Start a gateway from its image by digest, beside the one that serves, ask it what a rider asks, and end it.

buildah fetches, runc runs: the image's own user, entry point and files; the machine's network; a port of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import urllib3

from tiphys.errors import GateError, PermanentError
from tiphys.oci import reference
from tiphys.serving.gateway_client import GatewayClient
from tiphys.serving.routes import PREFIXES
from tiphys.settings import RegistrySettings, surroundings
from tiphys.usecase import UseCase

_OK, _NO_MODEL = 200, 503
_STOP_SECONDS = 20
_TOLD = (
    "TIPHYS_LEDGER_URL", "TIPHYS_LEDGER_TOKEN", "TIPHYS_STAGING_HTTP", "TIPHYS_STAGING_GRPC", "TIPHYS_PRODUCTION_HTTP",
    "TIPHYS_PRODUCTION_GRPC", "TIPHYS_GATEWAY_URL",
)  # fmt: skip
"""What a gateway is told of the servers around it; this step's own token reads the ledger for it."""

_TAKE_OVER = "import json, os, sys; os.environ.update(json.load(sys.stdin)); os.execvp(sys.argv[1], sys.argv[1:])"
"""Starts the image's own program with what comes in: buildah takes an environment from its arguments only, and one value
is a token, which everybody on the machine could read there."""


def why_not() -> str:
    """Why no container can be run here; empty where one can."""
    if os.geteuid() != 0:
        return "running containers takes root here"
    missing = [each for each in ("buildah", "runc") if shutil.which(each) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def ask_gateway(image: str, use_case: str, wait_s: int, settings: RegistrySettings) -> str:
    """Run the gateway of an image and ask it; returns what was asked and answered.

    Raises:
        GateError: it does not come up, or answers a rider with an error of its own.
        PermanentError: the image cannot be had.
    """
    api, port = UseCase(use_case).api, _free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log, _container(image, settings) as container:
        with _running(container, port, use_case, log) as process:
            _until_healthy(address, process, wait_s, image, log)
            reply = GatewayClient(address).ask_when_mounted(PREFIXES["staging"] + api.route, api.examples[0])
        if reply.status not in {_OK, _NO_MODEL}:
            message = f"{image} answers a rider {reply.status} {reply.error}: it is not released{_said(log)}"
            raise GateError(message)
    answered = json.dumps(reply.body) if reply.status == _OK else f"no model serves yet ({reply.status})"
    return f"{image} started by digest, healthy, asked a rider's question: {answered}"[:1000]


@contextmanager
def _container(image: str, settings: RegistrySettings) -> Iterator[str]:
    """A working container of an image in buildah's storage, fetched by digest; removed afterwards."""
    found = reference.parse(image)
    plain = {found.host, found.host.rpartition(":")[0]} & {each.strip() for each in settings.plain_http.split(",")}
    with tempfile.TemporaryDirectory(prefix="login-") as scratch:
        login = Path(scratch) / "auth.json"
        login.touch(0o600)
        login.write_text(settings.auth or '{"auths": {}}', encoding="utf-8")
        how = ["--pull", "--authfile", str(login), f"--tls-verify={'false' if plain else 'true'}"]
        container = _buildah("from", "--quiet", *(["--pull-never"] if found.host == "localhost" else how), image)
    try:
        yield container
    finally:
        _buildah("rm", container)
        if found.host != "localhost":
            _buildah("rmi", image)  # its name only, where the same image was built here


@contextmanager
def _running(container: str, port: int, use_case: str, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The image's own program in the container; ended, whatever happens, before this is left."""
    config = json.loads(_buildah("inspect", container))["OCIv1"]["config"]
    told = surroundings(*_TOLD)
    told |= {"TIPHYS_GATEWAY_PORT": str(port), "TIPHYS_BIND": "127.0.0.1", "TIPHYS_GATEWAY_USE_CASES": use_case}
    how = ["--isolation", "oci", "--runtime", "runc", "--network", "host", "--terminal=false"]
    own = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    process = subprocess.Popen(  # noqa: S603
        ["buildah", "run", *how, container, "--", "python", "-c", _TAKE_OVER, *own],  # noqa: S607
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None  # noqa: S101 - asked for above
    with process.stdin:
        process.stdin.write(json.dumps(told).encode())
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_healthy(address: str, process: subprocess.Popen[bytes], wait_s: int, image: str, log: IO[bytes]) -> None:
    pool, until = urllib3.PoolManager(retries=False, timeout=2.0), time.monotonic() + wait_s
    while True:
        try:
            if pool.request("GET", address + "/healthz").status == _OK:
                return
        except urllib3.exceptions.HTTPError:
            pass
        if process.poll() is not None or time.monotonic() > until:
            how = "ended" if process.poll() is not None else f"is not healthy after {wait_s} s"
            message = f"the gateway of {image} {how}: it is not released{_said(log)}"
            raise GateError(message)
        time.sleep(0.1)


def _said(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()[-3:]
    return "; its last words: " + " / ".join(lines) if lines else ""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _buildah(*words: str) -> str:
    done = subprocess.run(["buildah", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        message = f"buildah {words[0]} failed: {done.stderr.strip()[-500:]}"
        raise PermanentError(message)
    return done.stdout.strip()
