"""Whom tensor clients ask, and how much of theirs the gateway holds."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.gateway.test_server import Wire, post, statuses
from tests.usecases.tiny.features import FEATURES
from tiphys.release.records import ENVIRONMENTS
from tiphys.serving.gateway.admission import Budget
from tiphys.serving.gateway.arms import Arms, Subject
from tiphys.serving.gateway.connection import Connection
from tiphys.serving.gateway.keys import Keys
from tiphys.serving.gateway.messages import Response
from tiphys.serving.gateway.metrics import Metrics
from tiphys.serving.gateway.server import HttpServer
from tiphys.serving.gateway.v2 import V2Door
from tiphys.serving.gateway.v2_desk import Desk, Try

pytestmark = pytest.mark.unit


def page(version: str, **more: Any) -> dict[str, Any]:
    """What an agent says."""
    served = {
        "use_case": "tests.usecases.tiny", "version": version, "loaded": [version], "generation": 1,
        "manifest_sha256": version * 64, "inputs": {}, "outputs": ["seconds"], **more,
    }  # fmt: skip
    return {"number": 1, "started": "x", "models": {"tiny": served}}


def at_desk(folder: Path, test: Callable[[Desk], None]) -> None:
    """Run a test where production serves version 1, and the canary version 2 with a share of all askers."""
    for name, said in (("production", page("1")), ("canary", page("2", share=1.0))):
        (folder / f"{name}.json").write_text(json.dumps({**said, "environment": name}))

    async def run() -> None:
        nowhere = dict.fromkeys(ENVIRONMENTS, "127.0.0.1:1")
        arms = Arms(nowhere, nowhere, folder)
        arms.mount(Subject("tiny", FEATURES, "seconds"))
        test(Desk(arms, Metrics(lambda: ())))
        await arms.stop()

    asyncio.run(run())


def test_a_canarys_share_takes_no_tensor_client(tmp_path: Path) -> None:
    """Nobody looks at their answers: production answers, unless the canary or a version is named."""

    def test(desk: Desk) -> None:
        assert desk.choose("production", "tiny", "") == Try("production", "1")
        assert desk.choose("production", "tiny", "9") == Try("production", "9")
        assert desk.choose("canary", "tiny", "") == Try("canary", "2")
        for environment, version, status in (("staging", "", 404), ("production", "../1", 400)):
            refused = desk.choose(environment, "tiny", version)
            assert isinstance(refused, Response)
            assert refused.status == status

    at_desk(tmp_path, test)


def test_only_who_named_no_version_is_sent_to_the_next(tmp_path: Path) -> None:
    """And only where another has taken its place."""

    def test(desk: Desk) -> None:
        gone = Try("production", "0")
        assert desk.successor(gone, "tiny", "") == Try("production", "1")
        assert desk.successor(gone, "tiny", "0") is None
        assert desk.successor(gone, "", "") is None
        assert desk.successor(Try("production", "1"), "tiny", "") is None

    at_desk(tmp_path, test)


def asked(desk: Desk, content: bytes) -> tuple[Wire, Connection]:
    """Send so much to the door, on a new connection."""
    keys = Keys.read(json.dumps({hashlib.sha256(b"k").hexdigest(): {"name": "one"}}))
    connection, wire = Connection(HttpServer(V2Door(desk, keys))), Wire()
    connection.connection_made(wire)  # type: ignore[arg-type]  # it has what is used of a transport
    connection.data_received(content)
    return wire, connection


def test_bodies_of_all_callers_together_are_bounded(tmp_path: Path) -> None:
    """What comes on top is told to come back; what was answered, refused or given up makes room again."""

    def test(desk: Desk) -> None:
        desk.budget = Budget(2500)
        question = post("/v2/models/none/infer", b"{}" + b" " * 1200, more="X-API-Key: k\r\n")
        half = question[:-10]
        (first, one), (second, two) = asked(desk, half), asked(desk, half)
        assert statuses(first) == statuses(second) == []
        assert desk.budget.held > 2300
        third, _ = asked(desk, question)
        assert statuses(third) == [503]
        assert b"retry-after" in third.sent
        two.connection_lost(None)
        fourth, _ = asked(desk, question)
        assert statuses(fourth) == [404]
        one.data_received(question[-10:])
        assert statuses(first) == [404]
        assert desk.budget.held == 0

    at_desk(tmp_path, test)


def test_a_full_door_refuses_before_the_body_comes(tmp_path: Path) -> None:
    """Whoever waits for a yes hears no."""

    def test(desk: Desk) -> None:
        for _ in range(desk.admission.most):
            desk.admission.enter()
        wire, _ = asked(
            desk, b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: a\r\nX-API-Key: k\r\nContent-Length: 100000\r\n\r\n"
        )
        assert statuses(wire) == [503]

    at_desk(tmp_path, test)
