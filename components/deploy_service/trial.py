"""Start a gateway from its image by digest, beside the one that serves, ask it what a rider asks, and end it.

buildah fetches, runc runs: the image's own user, entry point and files; the machine's network; a port of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import urllib3

from tiphys.errors import GateError
from tiphys.oci import reference
from tiphys.oci.buildah import buildah
from tiphys.serving.gateway_client import GatewayClient
from tiphys.serving.routes import PREFIXES
from tiphys.settings import RegistrySettings, surroundings
from tiphys.usecase import UseCase

_OK, _NO_MODEL = 200, 503
_STOP_SECONDS = 20
_TOLD = (
    "TIPHYS_STAGING_", "TIPHYS_CANARY_", "TIPHYS_PRODUCTION_", "TIPHYS_GATEWAY_URL", "TIPHYS_GATEWAY_GRPC",
    "TIPHYS_GATEWAY_ADMIN_URL", "TIPHYS_S3_ENDPOINT",
)  # fmt: skip
"""What a gateway is told of the servers around it."""

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
    api, port, key = UseCase(use_case).api, _free_port(), secrets.token_urlsafe(24)
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log, _container(image, settings) as container:
        with _running(container, _told(port, use_case, key), log) as process:
            _until_healthy(address, process, wait_s, image, log)
            reply = GatewayClient(address, key=key).ask_when_mounted(PREFIXES["staging"] + api.route, api.examples[0])
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
        container = buildah("from", "--quiet", *(["--pull-never"] if found.host == "localhost" else how), image)
    try:
        yield container
    finally:
        buildah("rm", container)
        if found.host != "localhost":
            buildah("rmi", image)  # its name only, where the same image was built here


@contextmanager
def _running(container: str, told: Mapping[str, str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The image's own program in the container; ended, whatever happens, before this is left."""
    config = json.loads(buildah("inspect", container))["OCIv1"]["config"]
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
        process.stdin.write(json.dumps(dict(told)).encode())
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _told(port: int, use_case: str, key: str) -> dict[str, str]:
    """Settings of a gateway on trial: one key, made for it; no credentials for S3, so nothing that it logs is kept."""
    grant = {"name": "deploy-service", "role": "tester"}
    return {
        **surroundings(*_TOLD),
        "TIPHYS_BIND": "127.0.0.1",
        "TIPHYS_GATEWAY_PORT": str(port),
        "TIPHYS_GATEWAY_GRPC_PORT": str(_free_port()),
        "TIPHYS_GATEWAY_ADMIN_PORT": str(_free_port()),
        "TIPHYS_GATEWAY_STATE": "/tmp/gateway",  # noqa: S108 - inside of the container
        "TIPHYS_GATEWAY_USE_CASES": use_case,
        "TIPHYS_GATEWAY_KEYS": json.dumps({hashlib.sha256(key.encode()).hexdigest(): grant}),
        "TIPHYS_S3_ACCESS_KEY": "nobody",
        "TIPHYS_S3_SECRET_KEY": "nobody",
    }


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
