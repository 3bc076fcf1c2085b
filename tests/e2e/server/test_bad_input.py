"""What nobody should send: each is refused with a word of why, and the server goes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time

import pytest

from tests.e2e.server.conftest import Served, steps
from tiphys.engine.server.bodies import LARGEST

pytestmark = pytest.mark.e2e
RUNS = "/api/v1/workflows/default"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b"\xff\xfe", 400),
        (b'{"workflow": NaN}', 400),
        (b'{"workflow": "\\ud800"}', 400),
        (b'{"workflow": {"metadata": {"name": "\\ud800x"}, "spec": {}}}', 400),
        (b'{"workflow":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"workflow": {"spec": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}}", 400),
        (b'{"workflow": {"spec": {"priority": ' + b"9" * 5000 + b"}}}", 400),
        (b'{"workflow": []}', 400),
        (b'{"workflow": {"metadata": 1, "spec": {}}}', 400),
        (b'{"workflow": {"metadata": {"name": 1}, "spec": {}}}', 400),
        (b'{"workflow": {"metadata": {"name": "../x"}, "spec": {}}}', 400),
        (b'{"workflow": {"metadata": {"namespace": "other"}, "spec": {}}}', 400),
        (b'{"workflow": {"kind": "Secret", "metadata": {"name": "x"}, "spec": {}}}', 400),
        (b'{"workflow": {"spec": {"unknown": 1}}}', 400),
        (b"", 400),
        (b" " * (LARGEST + 1), 413),
    ],
    ids=range(19),
)
def test_a_body_that_is_no_workflow_is_refused(server: Served, body: bytes, status: int) -> None:
    """Malformed, too deep, too large, not UTF-8, or of another shape."""
    answer, found, _ = server.ask("POST", RUNS, body)

    assert answer == status, found
    assert found["message"]
    assert server.get(f"{RUNS}?listOptions.fieldSelector=metadata.name=x")["items"] == []


@pytest.mark.parametrize(
    "path",
    [
        f"{RUNS}/..", f"{RUNS}/%2e%2e", f"{RUNS}/..%2f..%2fetc", f"{RUNS}/%00", f"{RUNS}/a%00b", f"{RUNS}/a%2fb",
        f"{RUNS}/A", f"{RUNS}/{'a' * 300}", "/api/v1/workflows/%2e%2e/x", "/api/v1/workflows/a%20b", f"{RUNS}/x/%2e%2e/log",
        "/artifacts/default/%2e%2e/n/a", "/artifact-files/default/workflows/x/n/outputs/a/%2e%2e/%2e%2e/journal.db",
        "/api/v1/workflow-templates/default/%2e%2e", "/api/v1/archived-workflows/%2e%2e", "//etc/passwd", "/../../etc/passwd",
        "/nothing", "/api/v1/nothing", "/api/v1/workflows/default/x/y/z/log", "/%ff%fe",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_leads_nowhere(server: Served, path: str) -> None:
    """400 or 404, as JSON."""
    status, found, _ = server.ask("GET", path)

    assert status in (400, 404)
    assert found["code"] in (3, 5)


@pytest.mark.parametrize(
    "query",
    [
        "listOptions.limit=-1", "listOptions.limit=x", "listOptions.limit=99999999999999999999", "listOptions.continue=x",
        "listOptions.labelSelector=a%20in%20(", "listOptions.labelSelector=%3D", "listOptions.fieldSelector=spec.x=1",
        "listOptions.limit=1&listOptions.limit=2", "createdAfter=yesterday", "nameFilter=Any",
        "listOptions.labelSelector=%00", "listOptions.fieldSelector=spec.startedAt%3Enever",
        f"listOptions.labelSelector={'a,' * 20000}",
    ],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(server: Served, query: str) -> None:
    """400 that says which part."""
    status, found, _ = server.ask("GET", f"{RUNS}?{query}")

    assert (status, found["code"]) == (400, 3)


@pytest.mark.parametrize("pattern", ["(", "a" * 2000])
def test_a_pattern_for_logs_that_can_not_be_compiled_is_refused(server: Served, pattern: str) -> None:
    """Before the stream begins."""
    name = server.submit("true")

    status, found, _ = server.ask("GET", f"{RUNS}/{name}/log?grep={pattern}")

    assert (status, found["code"]) == (400, 3)


def test_a_method_that_a_path_has_not_is_named(server: Served) -> None:
    """405 with those that it has."""
    status, found, headers = server.ask("PATCH", f"{RUNS}/x")

    assert (status, found["code"], headers["allow"]) == (405, 12, "DELETE, GET")


def test_a_body_in_chunks_is_measured_as_it_comes(server: Served) -> None:
    """One without a length is cut off at the same size."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        token = server.tokens["admin"]
        head = f"POST {RUNS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        for _ in range(8):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        assert b" 413 " in connection.recv(1000)


def test_a_run_that_does_not_exist_is_not_found(server: Served) -> None:
    """Whatever is done to it."""
    for verb in ("retry", "resubmit", "suspend", "resume", "stop", "terminate", "set"):
        status, found, _ = server.ask("PUT", f"{RUNS}/nothing/{verb}", {"message": "x"})
        assert (verb, status, found["code"]) == (verb, 404, 5)
    assert server.ask("DELETE", f"{RUNS}/nothing")[0] == 404


def test_a_name_that_is_taken_is_a_conflict(server: Served) -> None:
    """409, and the run that has it is untouched."""
    server.submit("true", name="taken")

    status, found, _ = server.ask("POST", RUNS, {"workflow": steps("false", name="taken")})

    assert (status, found["code"]) == (409, 6)
    assert server.wait("taken")["status"]["phase"] == "Succeeded"


def test_a_namespace_without_runs_is_an_empty_list(server: Served) -> None:
    """As on a cluster; and a run is not found in another namespace than its own."""
    name = server.submit("true")

    assert server.get("/api/v1/workflows/elsewhere")["items"] == []
    assert server.ask("GET", f"/api/v1/workflows/elsewhere/{name}")[0] == 404
    assert name in [each["metadata"]["name"] for each in server.get("/api/v1/workflows/")["items"]]


def test_what_argo_has_and_this_has_not_says_what_to_do(server: Served) -> None:
    """501 with the remedy for what would be made, empty lists for what is listed."""
    for path in ("/api/v1/sensors/default", "/api/v1/event-sources/default"):
        assert server.get(path)["items"] == []
        status, found, _ = server.ask("POST", path, {"sensor": {}})
        assert (status, found["code"]) == (501, 12)
        assert "WorkflowEventBinding" in found["message"]
    assert server.ask("GET", "/api/v1/sync/default/key")[0] == 501


def test_headers_without_end_are_cut_off(server: Served) -> None:
    """A request's head has a size, and the server goes on."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        try:
            for number in range(5000):
                connection.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1000))
        except OSError:
            pass
        else:
            assert b" 400 " in connection.recv(100)
    assert server.get("/api/v1/info")


def test_a_pipeline_of_garbage_does_no_harm(server: Served) -> None:
    """What is no HTTP gets a 400 or a closed door."""
    for garbage in (
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        json.dumps({}).encode() + b"\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            started = time.monotonic()
            assert connection.recv(1000)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 405")
            assert time.monotonic() - started < 60
    assert server.get("/api/v1/info")


@pytest.mark.long
def test_a_connection_in_use_is_not_closed_and_one_that_begins_and_stops_is(server: Served) -> None:
    """A client that goes on asking keeps its connection for longer than a head may take; half a head does not."""
    half = socket.create_connection(("127.0.0.1", server.port), 60)
    half.sendall(b"GET / HTTP/1.1\r\nHost:")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    until = time.monotonic() + 25
    while time.monotonic() < until:
        connection.request("GET", "/api/v1/info", headers=server.headers())
        assert connection.getresponse().read()
        time.sleep(0.5)
    connection.close()

    with half, contextlib.suppress(ConnectionResetError):
        assert half.recv(100) == b""
