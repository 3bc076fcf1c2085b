"""Input artifacts from a real http server on loopback."""

from __future__ import annotations

import http.server
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, RunState, load_text
from tiphys.engine.unpack import Limits

pytestmark = pytest.mark.e2e
Run = Callable[..., RunState]


def archive() -> bytes:
    """A folder with one file, as tar and gzip."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("folder/inner")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"inner"))
    return packed.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives a text, an archive or what it was asked with, by path."""

    other = ""

    def do_GET(self) -> None:
        """Answer by path; /cut ends before its time, /away leads to another host, /ftp to another protocol."""
        bodies = {
            "/text": b"hello\n",
            "/packed.tgz": archive(),
            "/cut": b"half",
            "/big": b"x" * 5000,
            "/token": (self.headers.get("Authorization", "none") + " " + self.headers.get("X-Plain", "none")).encode(),
        }
        redirects = {"/near": "/text", "/away": f"{self.other}/token", "/ftp": "ftp://127.0.0.1/x"}
        if self.path in redirects:
            self.send_response(302)
            self.send_header("Location", redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = bodies.get(self.path)
        self.send_response(200 if body is not None else 404 if self.path == "/none" else 503)
        self.send_header("Content-Length", str(len(body or b"") + (10 if self.path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """A server on this machine; by its other name it is another host."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    Handler.other = f"http://localhost:{server.server_port}"
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def manifest(source: str, command: str = "cat /tmp/in > /tmp/o", more: str = "") -> str:
    """A Workflow whose only step gets the artifact and gives what `command` writes."""
    return f"""
kind: Workflow
metadata: {{name: wf}}
spec:
  entrypoint: main
  templates:
  - name: main
    inputs: {{artifacts: [{{name: a, path: /tmp/in, http: {source}{more}}}]}}
    container: {{image: "debian:12", command: [sh, -c, "{command}"]}}
    outputs: {{parameters: [{{name: o, valueFrom: {{path: /tmp/o}}}}]}}
"""


def given(run: RunState) -> tuple[str, Any]:
    """How it ended, and the output or the message."""
    found = ((run.nodes["wf"].outputs or {}).get("parameters") or [{}])[0]
    return run.phase, found.get("value") or run.message


def test_a_file_is_fetched_and_redirects_are_followed(run: Run, url: str) -> None:
    """As it is, without the last newline that an output parameter loses."""
    assert given(run(manifest(f"{{url: '{url}/near'}}"))) == ("Succeeded", "hello")


def test_an_archive_is_opened(run: Run, url: str) -> None:
    """By what it holds, as with every other input artifact."""
    command = "cat /tmp/in/inner > /tmp/o"
    assert given(run(manifest(f"{{url: '{url}/packed.tgz'}}", command))) == ("Succeeded", "inner")


def test_headers_are_sent_and_a_secret_stays_with_its_host(run: Run, engine: Engine, url: str) -> None:
    """After a redirect to another host the authorization is gone, other headers are not."""
    headers = "headers: [{name: Authorization, value: Bearer x}, {name: X-Plain, value: plain}]"
    assert given(run(manifest(f"{{url: '{url}/token', {headers}}}"))) == ("Succeeded", "Bearer x plain")
    engine.journal.delete("wf")
    assert given(run(manifest(f"{{url: '{url}/away', {headers}}}"))) == ("Succeeded", "none plain")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/none", "artifact a failed to load: 404 Not Found"),
        ("/broken", "failed with reason: 503 Service Unavailable"),
        ("/cut", "unexpected EOF"),
        ("/ftp", 'unsupported protocol scheme "ftp"'),
    ],
)
def test_what_can_not_be_fetched_is_an_error(run: Run, url: str, path: str, message: str) -> None:
    """Also a part of it: nothing is taken for the whole that is not."""
    phase, said = given(run(manifest(f"{{url: '{url}{path}'}}")))
    assert phase == "Error"
    assert message in said


def test_an_optional_artifact_that_is_not_there_is_left_out(run: Run, url: str) -> None:
    """A server that is broken is an error nevertheless."""
    command = "test -e /tmp/in || echo without > /tmp/o"
    assert given(run(manifest(f"{{url: '{url}/none'}}", command, ", optional: true"))) == ("Succeeded", "without")


def test_nothing_listens_and_no_such_protocol(run: Run, engine: Engine) -> None:
    """In Go's words."""
    phase, said = given(run(manifest("{url: 'http://127.0.0.1:9/x'}")))
    assert (phase, "dial tcp 127.0.0.1:9: connect: connection refused" in said) == ("Error", True)
    engine.journal.delete("wf")
    phase, said = given(run(manifest("{url: 'file:///etc/passwd'}")))
    assert (phase, 'unsupported protocol scheme "file"' in said) == ("Error", True)


def test_the_size_is_bounded(tmp_path: Path, url: str) -> None:
    """By the limit that holds for archives."""
    engine = Engine(tmp_path / "small", limits=Limits(size=1000))
    done = engine.run(engine.submit(load_text(manifest(f"{{url: '{url}/big'}}"))), handle_signals=False)
    assert done.phase == "Error"
    assert "more than 1,000 bytes" in done.message


def test_an_output_is_not_sent_to_a_server(tmp_path: Path) -> None:
    """It is refused before anything runs; so is what needs more than headers."""
    text = manifest("{url: 'http://x/'}").replace(
        "parameters: [{name: o, valueFrom: {path: /tmp/o}}]",
        "artifacts: [{name: o, path: /tmp/o, http: {url: 'http://x/'}}]",
    )
    for wrong, message in (
        (text, "can't be written to"),
        (manifest("{url: 'http://x/', auth: {}}"), "Authorization header"),
    ):
        with pytest.raises(ManifestError, match=message):
            Engine(tmp_path).check(load_text(wrong))
