"""Watches and logs: what a client sees while runs go on, and what becomes of one that does not read."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable

import psutil
import pytest

from tests.e2e.server.conftest import SUSPEND, Served
from tests.e2e.server.streams import END, reading

pytestmark = pytest.mark.e2e
WATCH = "/api/v1/workflow-events/default"
RUNS = "/api/v1/workflows/default"


def _phases(messages: list[dict[str, object]]) -> list[str]:
    return [str(each["result"]["object"]["status"].get("phase")) for each in messages]  # type: ignore[index]


@pytest.mark.parametrize("events", [False, True])
def test_a_watch_tells_every_phase_of_a_run(server: Served, events: bool) -> None:  # noqa: FBT001
    """ADDED, then MODIFIED until it has ended; the same in both framings, with a version that grows."""
    version = server.get(RUNS)["metadata"]["resourceVersion"]
    with reading(server, f"{WATCH}?listOptions.resourceVersion={version}", events=events) as watch:
        name = server.submit("true", "sleep 0.3")
        seen = watch.until(lambda each: each["result"]["object"]["status"].get("phase") == "Succeeded")

    results = [each["result"] for each in seen if each["result"]["object"]["metadata"]["name"] == name]
    assert [each["type"] for each in results] == ["ADDED", *["MODIFIED"] * (len(results) - 1)]
    assert "Running" in _phases(seen)
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in results]
    assert versions == sorted(set(versions))
    assert watch.answer.getheader("content-type") == ("text/event-stream" if events else "application/json")


def test_a_watch_without_a_version_begins_with_what_is_there(server: Served) -> None:
    """Every run that matches comes first as ADDED; one by its name alone."""
    name, _ = server.submit("true"), server.submit("true")
    server.wait(name)
    with reading(server, f"{WATCH}?listOptions.fieldSelector=metadata.name={name}") as watch:
        first = watch.next()["result"]
        server.ask("DELETE", f"{RUNS}/{name}")
        last = watch.until(lambda each: each["result"]["type"] == "DELETED")[-1]["result"]

    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", name)
    assert last["object"]["metadata"]["uid"] == first["object"]["metadata"]["uid"]


def test_a_watch_of_nothing_that_exists_is_refused(server: Served) -> None:
    """404 with a status, before the stream begins."""
    status, found, _ = server.ask("GET", f"{WATCH}?listOptions.fieldSelector=metadata.name=nothing")

    assert (status, found["code"]) == (404, 5)


def test_a_watch_with_a_label_selector_tells_when_a_run_matches_no_more(server: Served) -> None:
    """As on a cluster: a run that ends leaves the watch of running ones as DELETED."""
    selector = "workflows.argoproj.io/phase%20in%20(Running)"
    with reading(server, f"{WATCH}?listOptions.labelSelector={selector}") as watch:
        name = server.submit("sleep 0.3")
        kinds = [
            each["result"]["type"]
            for each in watch.until(lambda each: each["result"]["type"] == "DELETED")
            if each["result"]["object"]["metadata"]["name"] == name
        ]

    assert kinds[0] == "ADDED"
    assert kinds[-1] == "DELETED"


def test_a_watch_gives_only_the_fields_that_are_asked_for(server: Served) -> None:
    """With the prefix that Argo's web UI puts before them."""
    version = server.get(RUNS)["metadata"]["resourceVersion"]
    fields = "result.type,result.object.metadata.name,result.object.status.phase"
    with reading(server, f"{WATCH}?listOptions.resourceVersion={version}&fields={fields}") as watch:
        server.submit("true")
        found = watch.next()["result"]["object"]

    assert set(found) == {"metadata", "spec", "status"}
    assert set(found["metadata"]) == {"name"}
    assert set(found["status"]) == {"phase"}


@pytest.mark.parametrize("what", ["events", "sensors", "event-sources"])
def test_a_stream_of_what_there_is_none_of_stays_open(server: Served, what: str) -> None:
    """Argo's web UI shows a stream that ends as a broken connection."""
    with reading(server, f"/api/v1/stream/{what}/default", events=True) as stream, pytest.raises(queue.Empty):
        stream.next(0.5)


def test_a_watch_ends_when_its_time_is_over(server: Served) -> None:
    """`timeoutSeconds`, as Kubernetes' clients send it."""
    version = server.get(RUNS)["metadata"]["resourceVersion"]
    with reading(server, f"{WATCH}?listOptions.resourceVersion={version}&listOptions.timeoutSeconds=1") as watch:
        watch.until(lambda each: each is END)


def test_followed_logs_come_line_by_line_and_end_with_the_run(server: Served) -> None:
    """A line is there while the run goes on; the stream ends when the run has."""
    name = server.submit("echo first", SUSPEND, "echo second; echo third")
    with reading(server, f"{RUNS}/{name}/log?logOptions.follow=true&logOptions.container=main", events=True) as logs:
        first = logs.next()["result"]
        server.wait_for_step(name, "s1", "Running")
        assert server.ask("PUT", f"{RUNS}/{name}/resume", {})[0] == 200
        rest = logs.until(lambda each: each is END)[:-1]

    assert first["content"] == "first"
    assert first["podName"].startswith(f"{name}-s0-")
    assert [each["result"]["content"] for each in rest] == ["second", "third"]


def test_logs_of_a_run_that_has_ended_are_chosen_by_what_is_asked(server: Served) -> None:
    """Tail, pattern, pod, size and container."""
    name = server.submit("for i in 1 2 3 4; do echo line $i; done", "echo other")
    pods = {each["displayName"]: each for each in server.wait(name)["status"]["nodes"].values()}

    def lines(query: str) -> list[str]:
        with reading(server, f"{RUNS}/{name}/log?{query}") as logs:
            return [each["result"]["content"] for each in logs.until(lambda each: each is END)[:-1]]

    assert lines("") == ["line 1", "line 2", "line 3", "line 4", "other"]
    assert lines("logOptions.tailLines=1") == ["line 4", "other"]
    assert lines("grep=line%202%7Cother") == ["line 2", "other"]
    assert lines("logOptions.limitBytes=14") == ["line 1", "line 2", "other"]
    assert lines("logOptions.container=wait") == []
    assert lines("logOptions.previous=true") == []
    assert lines(f"selector=workflows.argoproj.io/workflow%3D{name}") != []
    assert lines("selector=app%3Dother") == []
    stamps = [each.split(" ", 1)[0] for each in lines("logOptions.timestamps=true")]
    assert stamps == sorted(set(stamps))
    with reading(server, f"{RUNS}/{name}/{pods['s1']['id']}/log") as logs:
        assert logs.next()["result"]["content"] == "other"


@pytest.mark.long
def test_a_client_that_reads_nothing_holds_no_memory_and_is_let_go(
    new_server: Callable[[], Served], eventually: Callable[..., None]
) -> None:
    """Twenty clients ask for a log of 20 MB and for watches, and read nothing: the server stays small, and closes them."""
    served = new_server()
    name = served.submit("yes 0123456789012345678901234567890123456789 | head -c 20000000")
    served.wait(name)
    before = served.api().memory_info().rss
    hanging = [_hang(served, f"{RUNS}/{name}/log") for _ in range(10)] + [_hang(served, WATCH) for _ in range(10)]

    for _ in range(20):
        served.submit("true")
    assert served.get("/api/v1/info")
    assert served.api().memory_info().rss - before < 60 << 20

    def only_watches_are_left() -> bool:
        """Those that were sent nothing more than the kernel takes may stay."""
        alive = [each for each in served.api().net_connections() if each.status == psutil.CONN_ESTABLISHED]
        return len(alive) <= 10

    eventually(only_watches_are_left)
    for each in hanging:
        each.close()


def _hang(served: Served, path: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", served.port))
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.tokens['admin']}\r\n\r\n".encode()
    )
    return connection


def test_a_client_that_leaves_leaves_nothing_behind(server: Served, eventually: Callable[..., None]) -> None:
    """Streams of clients that are gone end: no descriptor stays open."""

    def open_files() -> int:
        return server.api().num_fds()

    def come_and_go(times: int) -> None:
        for _ in range(times):
            with reading(server, f"{WATCH}?fields=metadata.name") as watch:
                watch.next()

    server.submit("true")
    come_and_go(3)  # what is opened once and kept
    before = open_files()
    come_and_go(30)

    def as_before() -> bool:
        """No more descriptors than before, but for the few that a thread opens once."""
        return open_files() <= before + 8

    eventually(as_before, 20)


def test_a_client_whose_body_never_ends_is_let_go(server: Served) -> None:
    """408, and nothing waits for it."""
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        head = f"POST {RUNS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.tokens['admin']}\r\nContent-Length: 100\r\n\r\n{{"
        connection.sendall(head.encode())
        started = time.monotonic()
        answer = connection.recv(1000)

    assert b" 408 " in answer
    assert time.monotonic() - started < 60
