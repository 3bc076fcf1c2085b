"""What the ledger's client makes of answers: of a newer ledger, and of something that is none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tiphys.errors import RetryableError
from tiphys.release.client import LedgerClient
from tiphys.settings import LedgerSettings

pytestmark = pytest.mark.unit
RELEASE = {
    "use_case": "tiny", "model_version": "models:/tiny/3", "repository": "s3://models/tiny/3/", "manifest_sha256": "0" * 64,
    "environment": "production", "generation": 7, "made_at": "2026-01-01T00:00:00Z",
}  # fmt: skip
OBSERVED = {"generation": 7, "state": "serving", "model": "tiny", "version": "3"}
ENVIRONMENT = {
    "environment": "production",
    "generation": 7,
    "releases": {"tiny": RELEASE},
    "observed": {"tiny": OBSERVED},
}

Answering = Callable[[bytes], LedgerClient]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A client of something that answers everything with the same text."""
    servers = []

    def serve(body: bytes) -> LedgerClient:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return LedgerClient(LedgerSettings(url=f"http://127.0.0.1:{server.server_port}", token="t"), retries=0)

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_newer_ledger_may_tell_more(answering: Answering) -> None:
    """Fields that are new to the reader, in the environment, its releases and its reports, are no reason to stop reading."""
    newer = {
        **ENVIRONMENT, "region": "eu", "releases": {"tiny": {**RELEASE, "colour": "blue"}},
        "observed": {"tiny": {**OBSERVED, "cores": 3}},
    }  # fmt: skip
    found = answering(json.dumps(newer).encode()).current("production")
    assert (found.releases["tiny"].number, found.observed["tiny"].version) == ("3", "3")
    listed = answering(json.dumps({"releases": [{**RELEASE, "colour": "blue"}], "more": True}).encode())
    assert [each.generation for each in listed.history("production")] == [7]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b'{"generation": "many"}', b'{"releases": 3}'])
def test_what_is_no_ledgers_answer_is_said_to_be_none(answering: Answering, body: bytes) -> None:
    """A proxy's page, another server: trying again may help, and the message names the ledger."""
    client = answering(body)
    with pytest.raises(RetryableError, match="release ledger"):
        client.current("production")
    with pytest.raises(RetryableError, match="release ledger"):
        client.history("production")
