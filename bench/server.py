"""The engine with its API (`tiphys serve`), alone on a fresh state folder: what a client waits for.

    .venv/bin/python bench/server.py [--repeats 3]

* burst: 100 workflows of 10 steps submitted at once over the API; one client gets them in turn until all have ended.
* list: the first page (50) of 1,000 runs that have ended, by a server that was started just now, and again.
* watch: from the moment in which the journal says that a run has changed its phase until a watch client has it.
* idle: CPU time of engine and API together, with the 1,000 runs there and nothing to do.

All runs must Succeed, none may be missing, before anything is printed. Medians of the repeats, and all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parent.parent
RUNS, STEPS, FINISHED, PAGE = 100, 10, 1000, 50
ENGINE_PORT = 7  # after the base of the ports
IDLE = 20.0  # seconds
LIST = "/api/v1/workflows/default"


class Api:
    """Requests to one server."""

    def __init__(self, port: int, token: str) -> None:
        """`token` is sent with each."""
        self.port = port
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The answer, which must be a 200."""
        self._connection.request(method, path, json.dumps(body) if body else None, self.headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:500]!r}")
        return content

    def json(self, path: str) -> Any:
        """What a GET gives."""
        return json.loads(self.ask("GET", path))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    figures: dict[str, list[float]] = {}
    for _ in range(arguments.repeats):
        for name, value in once().items():
            figures.setdefault(name, []).append(value)
    print(f"{'':<58} {'median':>8}   repeats")
    for name, values in figures.items():
        print(f"{name:<58} {statistics.median(values):>8.2f}   {', '.join(f'{each:.2f}' for each in values)}")
    return 0


def once() -> dict[str, float]:
    """All figures, once."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with serving(home) as (api, _):
            found = burst(api)
            found |= watch(api, home)
            fill(api, FINISHED)
        with serving(home) as (api, process):
            found |= first_page(api)
            found["idle: CPU of engine and API, % of a core"] = idle(process)
    return found


@contextmanager
def serving(home: Path) -> Iterator[tuple[Api, psutil.Process]]:
    """`tiphys serve` on that folder."""
    base = _free_base()
    environment = {**os.environ, "TIPHYS_HOME": str(home), "TIPHYS_PORT_BASE": str(base)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tiphys", "serve"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while not _answers(base + ENGINE_PORT):
            if time.monotonic() > until:
                raise SystemExit("the server does not answer after 60 s")
            time.sleep(0.05)
        token = json.loads((home / "secrets" / "keys.json").read_text())["api_tokens"]["admin"]
        yield Api(base + ENGINE_PORT, token), psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _free_base() -> int:
    for base in range(20000, 32000, 100):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", base + ENGINE_PORT)):
                return base
    raise SystemExit("no free port")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def workflow(prefix: str, steps: int) -> dict[str, Any]:
    """Two groups of steps of `true`."""
    half = steps // 2 or 1
    groups = [range(half), range(half, steps)] if steps > 1 else [range(1)]
    main = {"name": "main", "steps": [[{"name": f"s{each}", "template": "one"} for each in group] for group in groups]}
    one = {"name": "one", "container": {"image": "alpine", "command": ["true"]}}
    return {
        "workflow": {"metadata": {"generateName": prefix}, "spec": {"entrypoint": "main", "templates": [main, one]}}
    }


def burst(api: Api) -> dict[str, float]:
    """100 submissions at once; another process gets the runs until all have ended."""
    ours, theirs = multiprocessing.Pipe()
    getter = multiprocessing.get_context("spawn").Process(target=keep_getting, args=(theirs, api.port, api.headers))
    getter.start()
    ours.recv()
    began = time.monotonic()
    names = asyncio.run(submit_all(api, ours))
    accepted = time.monotonic() - began
    wait_for_all(api, names)
    took = time.monotonic() - began
    ours.send(None)
    waits = sorted(ours.recv())
    getter.join()
    return {
        f"burst: {RUNS} workflows of {STEPS} steps accepted, s": accepted,
        "burst: until all have Succeeded, s": took,
        "burst: a get meanwhile, p50, ms": 1000 * waits[len(waits) // 2],
        "burst: a get meanwhile, p99, ms (limit 50)": 1000 * waits[int(len(waits) * 0.99)],
    }


async def submit_all(api: Api, tell: Connection) -> list[str]:
    """All at once, each on a connection of its own."""
    body = json.dumps(workflow("burst-", STEPS)).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in api.headers.items())

    async def submit() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        request = f"POST {LIST} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        writer.write(request.encode() + body)
        answer = await reader.read()
        writer.close()
        if b" 200 " not in answer[:20]:
            raise SystemExit(answer[:500])
        name = str(json.loads(answer.partition(b"\r\n\r\n")[2])["metadata"]["name"])
        tell.send(name)
        return name

    return await asyncio.gather(*(submit() for _ in range(RUNS)))


def keep_getting(pipe: Connection, port: int, headers: dict[str, str]) -> None:
    """Get the runs that are known in turn, 200 a second at most, until told to stop; the seconds of each."""
    api, names, waits = Api(port, headers["Authorization"].removeprefix("Bearer ")), [], []
    pipe.send("ready")
    number = 0
    while True:
        while pipe.poll(0.005):
            name = pipe.recv()
            if name is None:
                pipe.send(waits)
                return
            names.append(name)
        if names:
            began = time.perf_counter()
            api.ask("GET", f"{LIST}/{names[number % len(names)]}")
            waits.append(time.perf_counter() - began)
            number += 1


def wait_for_all(api: Api, names: list[str]) -> None:
    """Until every run has ended; all must have Succeeded, with every step."""
    going = "listOptions.labelSelector=workflows.argoproj.io/completed!=true&fields=items.metadata.name"
    until = time.monotonic() + 300
    while api.json(f"{LIST}?{going}")["items"]:
        if time.monotonic() > until:
            raise SystemExit("the runs do not end")
        time.sleep(0.1)
    phases = {
        each["metadata"]["name"]: each["status"]["phase"]
        for each in api.json(f"{LIST}?fields=items.metadata.name,items.status.phase")["items"]
    }
    if wrong := [name for name in names if phases.get(name) != "Succeeded"]:
        raise SystemExit(f"not Succeeded: {wrong}")


def watch(api: Api, home: Path) -> dict[str, float]:
    """The worst of twenty runs: from the commit that changes a phase until a watch client has read of it."""
    heard: dict[tuple[str, str], float] = {}
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=120)
    version = api.json(f"{LIST}?listOptions.limit=1")["metadata"]["resourceVersion"]
    connection.request(
        "GET", f"/api/v1/workflow-events/default?listOptions.resourceVersion={version}", headers=api.headers
    )
    stream = connection.getresponse()

    def listen() -> None:
        for line in stream:
            found = json.loads(line)["result"]["object"]
            heard.setdefault((found["metadata"]["name"], found["status"].get("phase", "")), time.time())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    seen: dict[tuple[str, str], float] = {}
    database = sqlite3.connect(f"file:{home / 'engine' / 'journal.db'}?mode=ro", uri=True, isolation_level=None)
    names = [json.loads(api.ask("POST", LIST, workflow("watch-", 2)))["metadata"]["name"] for _ in range(20)]
    while len({name for name, phase in seen if phase == "Succeeded" and name in names}) < len(names):
        for name, phase in database.execute("SELECT name, phase FROM runs WHERE name LIKE 'watch-%'"):
            seen.setdefault((name, phase), time.time())
        time.sleep(0.001)
    _wait_until(lambda: all((name, "Succeeded") in heard for name in names))
    waits = [heard[name, "Succeeded"] - seen[name, "Succeeded"] for name in names]
    return {
        "watch: a phase change, median, ms": 1000 * statistics.median(waits),
        "watch: a phase change, worst of 20, ms (limit 100)": 1000 * max(waits),
    }


def _wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        if time.monotonic() > until:
            raise SystemExit("the watch did not tell")
        time.sleep(0.01)


def fill(api: Api, count: int) -> None:
    """So many finished runs."""
    there = len(api.json(f"{LIST}?fields=items.metadata.name")["items"])
    names = [
        json.loads(api.ask("POST", LIST, workflow("fill-", STEPS)))["metadata"]["name"] for _ in range(count - there)
    ]
    wait_for_all(api, names)


def first_page(api: Api) -> dict[str, float]:
    """The first page by a server that has read nothing yet, and again."""
    waits = []
    for _ in range(2):
        began = time.perf_counter()
        found = api.json(f"{LIST}?listOptions.limit={PAGE}")
        waits.append(1000 * (time.perf_counter() - began))
        if len(found["items"]) != PAGE or not found["metadata"]["continue"]:
            raise SystemExit("the page is not whole")
    return {
        f"list: first page of {FINISHED} runs, cold, ms (limit 100)": waits[0],
        f"list: first page of {FINISHED} runs, again, ms": waits[1],
    }


def idle(process: psutil.Process) -> float:
    """CPU time of the engine and all below it, in percent of a core, while nothing is to do."""
    time.sleep(3.0)
    everyone = [process, *process.children(recursive=True)]
    began, before = time.monotonic(), sum(sum(each.cpu_times()[:2]) for each in everyone)
    time.sleep(IDLE)
    return 100 * (sum(sum(each.cpu_times()[:2]) for each in everyone) - before) / (time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
