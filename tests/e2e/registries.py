"""A real registry of images on loopback: Debian's docker-registry, with or without logins, tokens and TLS."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

from tiphys.settings import RegistrySettings

USER, PASSWORD = "ann", "made-up"
HTPASSWD = f"{USER}:$2b$04$b9HMiaxD/9zyAOoh5JH6juGP2ELgnh4jkP4R4TbvWt6chmaSPuCwO\n"


@dataclass
class Registry:
    """A registry of a test's own: its folder, its address, its process."""

    folder: Path
    port: int
    extra: dict[str, Any] = field(default_factory=dict)
    program: str = "docker-registry"
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Its address."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it wrote: a line for each answer."""
        return (self.folder / "log").read_text()

    def settings(self, user: str = "", password: str = PASSWORD, plain_http: str = "127.0.0.1") -> RegistrySettings:
        """What a client is told: ``HOST/team``, with a login if wanted."""
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        auth = json.dumps({"auths": {self.host: {"auth": token}}}) if user else ""
        return RegistrySettings(f"{self.host}/team", auth, plain_http)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        config = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "storage")}, "cache": {}},
            "http": {"addr": self.host, "secret": "of nobody"},
        }
        for name, each in self.extra.items():
            config[name] = {**config.get(name, {}), **each}  # type: ignore[dict-item]
        (self.folder / "config.yml").write_text(json.dumps(config))
        with (self.folder / "log").open("ab") as log:
            command = [self.program, "serve", str(self.folder / "config.yml")]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        until = time.monotonic() + 30
        while not _listens(self.port):
            if self.process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"the registry does not start: {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def blob(self, digest: str) -> Path:
        """The file in which it keeps a blob or a manifest."""
        value = digest.removeprefix("sha256:")
        return self.folder / "storage/docker/registry/v2/blobs/sha256" / value[:2] / value / "data"


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _program(folder: Path) -> str:
    """Debian's docker-registry; fetched without being installed where it is not, for its package starts a service."""
    if found := shutil.which("docker-registry") or shutil.which("registry"):
        return found
    if os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
    fetched = subprocess.run(["apt-get", "download", "docker-registry"], cwd=folder, capture_output=True, check=False)
    packages = list(folder.glob("docker-registry_*.deb"))
    if fetched.returncode or not packages:
        pytest.skip("no registry server: apt-get install docker-registry")
    subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(folder / "registry")], check=True)
    return str(folder / "registry" / "usr" / "bin" / "docker-registry")


@contextmanager
def registries(folder: Path) -> Iterator[Callable[..., Registry]]:
    """``new(auth=..., http=..., storage=...)`` starts a registry; all of them end here."""
    program = _program(folder)
    made: list[Registry] = []

    def new(**extra: Any) -> Registry:
        place = folder / f"registry-{len(made)}"
        place.mkdir()
        made.append(Registry(place, free_port(), extra, program))
        made[-1].start()
        return made[-1]

    yield new
    for each in made:
        each.stop()


def with_login(folder: Path) -> dict[str, Any]:
    """Settings of a registry that knows one user."""
    (folder / "htpasswd").write_text(HTPASSWD)
    return {"auth": {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}}


@dataclass(frozen=True)
class Authority:
    """A certificate authority of a test's own, which is also the server that it vouches for."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        """Its certificate."""
        return self.folder / "authority.pem"

    def tls(self) -> dict[str, Any]:
        """Settings of a registry with TLS."""
        return {"tls": {"certificate": str(self.file), "key": str(self.folder / "key.pem")}}

    def sign(self, claims: dict[str, Any]) -> str:
        """A JSON web token that a registry with our certificate believes."""
        der = base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()
        parts = [_encoded(json.dumps(each).encode()) for each in ({"typ": "JWT", "alg": "ES256", "x5c": [der]}, claims)]
        signature = self.key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(signature)
        return ".".join([*parts, _encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))])


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def authority(folder: Path) -> Authority:
    """Make one for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Authority(folder, key, certificate)
    made.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


class TokenServer:
    """Hands out what is asked for to one user, and to everybody else leave to pull."""

    def __init__(self, signer: Authority) -> None:
        """Listen on a free port."""
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """Answer with a token."""
                query = parse_qs(urlsplit(self.path).query)
                scope = query.get("scope", [""])[0]
                outer.asked.append(scope)
                kind, _, rest = scope.partition(":")
                name, _, actions = rest.rpartition(":")
                known = (
                    self.headers.get("Authorization", "")
                    == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                )
                allowed = actions.split(",") if known else ["pull"]
                now = int(time.time())
                access = [{"type": kind, "name": name, "actions": allowed}] if scope else []
                claims = {
                    "iss": "tests",
                    "aud": "reg",
                    "sub": "",
                    "iat": now,
                    "nbf": now - 5,
                    "exp": now + 60,
                    "access": access,
                    "jti": str(len(outer.asked)),
                }
                body = json.dumps({"token": signer.sign(claims)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._bundle = signer.file
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def settings(self) -> dict[str, Any]:
        """Settings of a registry that believes its tokens."""
        realm = f"http://127.0.0.1:{self._server.server_port}/token"
        token = {"realm": realm, "service": "reg", "issuer": "tests", "rootcertbundle": str(self._bundle)}
        return {"auth": {"token": token}}

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def one_that_answers(status: int, body: bytes = b"") -> Iterator[tuple[str, list[str]]]:
    """A server that gives one answer to everything: its address, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815 - names of http.server

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def get(host: str, path: str) -> urllib3.BaseHTTPResponse:
    """Ask a plain registry without any client of ours."""
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    return urllib3.PoolManager(retries=False).request("GET", f"http://{host}/v2/{path}", headers=accept)
