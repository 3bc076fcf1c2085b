"""What the command line says of servers that are away, are no Argo, or can't be trusted. Each is a real server here."""

from __future__ import annotations

import http.server
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
TOKEN = "canary-4d1c-token"


class _Stranger(http.server.BaseHTTPRequestHandler):
    """A web server that knows nothing of Argo, and remembers what it was sent."""

    def do_GET(self) -> None:
        """Answer as a front page does; /away leads elsewhere."""
        self.server.heard.append(dict(self.headers))  # type: ignore[attr-defined]
        away = self.path.startswith("/away")
        self.send_response(302 if away else 200)
        if away:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "16")
        self.end_headers()
        self.wfile.write(b"<html>hi</html>\n")

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def stranger() -> Iterator[http.server.ThreadingHTTPServer]:
    """A running web server that is no Argo."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stranger)
    server.heard = []  # type: ignore[attr-defined]
    with server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A token in a private file."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    return file


def tiphys(*words: str, token: Path) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own, with nothing of ours in its environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIPHYS_ARGO")}
    command = [sys.executable, "-m", "tiphys", *words, "--token-file", str(token)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean, timeout=120)


def refused(answer: subprocess.CompletedProcess[str]) -> str:
    """What a refusal says: exit code 2, one line, no traceback, no token."""
    assert answer.returncode == 2, answer
    assert not answer.stdout
    assert TOKEN not in answer.stderr
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    return answer.stderr


@pytest.mark.parametrize("command", [["list"], ["install"], ["submit", "continuous-training"], ["get", "@latest"]])
def test_a_server_that_is_not_there_is_named_with_what_to_check(command: list[str], token: Path) -> None:
    """A server that is not there is named with what to check."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nothing else can answer there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        said = refused(tiphys(*command, "--server", url, token=token))
    assert f"{url} does not answer (connection refused)" in said


def test_a_web_server_that_is_no_argo_is_called_that(stranger: http.server.HTTPServer, token: Path) -> None:
    """A web server that is no argo is called that."""
    url = f"http://127.0.0.1:{stranger.server_port}"
    assert "is not an Argo server" in refused(tiphys("list", "--server", url, token=token))


def test_a_redirect_does_not_carry_the_token_away(stranger: http.server.HTTPServer, token: Path) -> None:
    """A redirect does not carry the token away."""
    url = f"http://127.0.0.1:{stranger.server_port}/away"
    assert "sends elsewhere (HTTP 302)" in refused(tiphys("list", "--server", url, token=token))


def test_the_token_is_sent_as_it_is_whatever_a_netrc_says(
    stranger: http.server.HTTPServer, token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is sent as it is whatever a netrc says."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    tiphys("list", "--server", f"http://127.0.0.1:{stranger.server_port}", token=token)
    assert [each.get("Authorization") for each in stranger.heard] == [f"Bearer {TOKEN}"]  # type: ignore[attr-defined]


def test_a_certificate_of_an_unknown_authority_is_refused_and_taken_once_it_is_given(
    stranger: http.server.HTTPServer, token: Path, tmp_path: Path
) -> None:
    """A certificate of an unknown authority is refused and taken once it is given."""
    certificate, key = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    stranger.socket = context.wrap_socket(stranger.socket, server_side=True)
    url = f"https://localhost:{stranger.server_port}"
    said = refused(tiphys("list", "--server", url, token=token))
    assert "certificate is not trusted" in said
    assert "--ca-file" in said
    assert not stranger.heard  # type: ignore[attr-defined]
    trusted = refused(tiphys("list", "--server", url, "--ca-file", str(certificate), token=token))
    assert "is not an Argo server" in trusted


def test_https_to_a_server_of_plain_http_is_told(stranger: http.server.HTTPServer, token: Path) -> None:
    """Https to a server of plain http is told."""
    said = refused(tiphys("list", "--server", f"https://127.0.0.1:{stranger.server_port}", token=token))
    assert "speaks plain http" in said


def test_a_token_is_not_sent_in_the_clear_to_another_machine(token: Path) -> None:
    """A token is not sent in the clear to another machine."""
    assert "is plain http" in refused(tiphys("list", "--server", "http://argo.example.org", token=token))


def test_a_command_that_is_only_for_servers_asks_which(token: Path) -> None:
    """A command that is only for servers asks which."""
    answer = tiphys("submit", "continuous-training", token=token)
    assert answer.returncode == 2
    assert "give --server URL, or set TIPHYS_ARGO_SERVER" in answer.stderr


def test_a_value_that_argo_would_fill_in_again_is_refused_before_the_server_is_asked(
    stranger: http.server.HTTPServer, token: Path, tmp_path: Path
) -> None:
    """A value that argo would fill in again is refused before the server is asked."""
    url = f"http://127.0.0.1:{stranger.server_port}"
    file = tmp_path / "values.yaml"
    file.write_text("source: '{{workflow.parameters.other}}'\n")
    for words in (["-p", "source={{x}}"], ["--parameter-file", str(file)]):
        assert "'{{'" in refused(tiphys("submit", "continuous-training", *words, "--server", url, token=token))
    assert not stranger.heard  # type: ignore[attr-defined]


def test_a_registry_that_can_be_none_is_refused_before_the_server_is_asked(
    stranger: http.server.HTTPServer, token: Path
) -> None:
    """A registry that can be none is refused before the server is asked."""
    url = f"http://127.0.0.1:{stranger.server_port}"
    for command in (["install"], ["submit", "continuous-training"]):
        answer = tiphys(*command, "--registry", "https://registry.example.org", "--server", url, token=token)
        assert answer.returncode == 2
        assert "registry 'https://registry.example.org' is none" in answer.stderr
    assert not stranger.heard  # type: ignore[attr-defined]


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that is signed by itself."""
    certificate, key = folder / "server.crt", folder / "server.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-out", str(certificate), "-keyout", str(key)], check=True, capture_output=True)
    return certificate, key
