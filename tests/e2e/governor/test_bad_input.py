"""What a stranger, a broken sender and a flood get from the governor's port."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
from typing import Any

import pytest

from tests.e2e.governor.conftest import TINY, Asked
from tiphys.watch import webhooks
from tiphys.watch.alerts import Alert

pytestmark = pytest.mark.e2e
CAP = webhooks.BODY_CAP
BODY = Alert(use_case=TINY, kind="volume").model_dump_json(exclude_none=True).encode()


def signed(
    governor: Asked, body: bytes = BODY, identity: str = "bad-input", seconds: float | None = None
) -> dict[str, str]:
    """The headers of a webhook of the monitor's."""
    when = int(time.time() if seconds is None else seconds)
    return webhooks.sign(governor.monitor.secret, identity, when, body)


def answer(governor: Asked, path: str, body: Any, **headers: str) -> tuple[int, str]:
    """Status and code of a post without a token."""
    reply = governor.watch.ask("POST", path, body=body, principal="", **headers)
    return reply.status, json.loads(reply.data).get("error", {}).get("code", "")


def newest(governor: Asked) -> list[int]:
    """Number of the latest event; why it still waits may be told otherwise a second later."""
    listed = json.loads(governor.watch.ask("GET", "/v1/events?limit=1").data)["events"]
    return [each["number"] for each in listed]


def test_a_body_of_one_byte_too_many_is_refused_before_its_signature(governor: Asked) -> None:
    """Also when it comes in pieces without a length; one that just fits is looked at."""
    over, fits = b" " * (CAP + 1), BODY + b" " * (CAP - len(BODY))
    assert answer(governor, "/v1/alerts", over) == (413, "too_large")
    assert answer(governor, "/v1/alerts", iter([b" " * 8192] * 9)) == (413, "too_large")
    assert answer(governor, "/v1/alertmanager", over, Authorization="Bearer " + alertmanagers_token(governor)) == (
        413,
        "too_large",
    )
    assert answer(governor, "/v1/alerts", fits) == (401, "unsigned")
    assert answer(governor, "/v1/alerts", fits, **signed(governor, fits, "fits")) == (201, "")


def test_a_length_that_lies_is_no_way_in(governor: Asked) -> None:
    """It is cut off, or waits for no longer than it may."""
    host, port = governor.watch.plan.ports.address("governor").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.putrequest("POST", "/v1/alerts")
    connection.putheader("Content-Length", "9" * 30)
    connection.endheaders()
    assert connection.getresponse().status in {400, 413}
    connection.close()


def test_what_is_compressed_is_refused(governor: Asked) -> None:
    """A few bytes that become many never do."""
    packed = gzip.compress(BODY)
    headers = {**signed(governor, packed), "Content-Encoding": "gzip"}
    assert answer(governor, "/v1/alerts", packed, **headers) == (415, "unsupported_encoding")


def test_forged_stale_and_replayed_webhooks(governor: Asked) -> None:
    """401 with a word for why; what was sent before is a duplicate while it is fresh, and stale later."""
    assert answer(governor, "/v1/alerts", BODY) == (401, "unsigned")
    assert answer(governor, "/v1/alerts", BODY + b" ", **signed(governor)) == (401, "forged")
    assert answer(governor, "/v1/alerts", BODY, **signed(governor, seconds=time.time() - 400)) == (401, "stale")
    assert answer(governor, "/v1/alerts", BODY, **signed(governor, seconds=time.time() + 400)) == (401, "stale")
    captured = signed(governor, identity="replayed")
    assert answer(governor, "/v1/alerts", BODY, **captured) == (201, "")
    assert answer(governor, "/v1/alerts", BODY, **captured) == (200, "")


@pytest.mark.parametrize("body", [b"[" * 60_000, b"\xff\xfe", BODY[:-1], BODY.replace(b"volume", b"{{x}}")], ids=str)
def test_what_is_signed_and_is_no_alert(governor: Asked, body: bytes) -> None:
    """400, and nothing is kept."""
    before = newest(governor)
    assert answer(governor, "/v1/alerts", body, **signed(governor, body, "no-alert")) == (400, "malformed")
    assert newest(governor) == before


def test_a_sender_that_stops_in_the_middle_holds_nobody_up(governor: Asked) -> None:
    """Others are answered meanwhile; it is told that it is too slow."""
    host, port = governor.watch.plan.ports.address("governor").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        slow.sendall(b"POST /v1/alerts HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert governor.watch.ask("GET", "/healthz", principal="").status == 200
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/x", "/v1/decisions"])
@pytest.mark.parametrize("principal", ["", "alertmanager"])
def test_nothing_is_told_to_strangers(governor: Asked, path: str, principal: str) -> None:
    """Nor to Alertmanager, which only sends."""
    assert governor.watch.ask("GET", path, principal=principal).status == 401


def alertmanagers_token(governor: Asked) -> str:
    """What Alertmanager is told."""
    return str(governor.watch.settings("alertmanager").token)


def test_a_token_for_reading_sends_no_message_of_alertmanager(governor: Asked) -> None:
    """Each token is for one thing."""
    message = b'{"version": "4", "alerts": []}'
    assert answer(governor, "/v1/alertmanager", message)[0] == 401
    assert answer(governor, "/v1/alertmanager", message, Authorization=f"Bearer {governor.person.token}")[0] == 401
    assert (
        answer(governor, "/v1/alertmanager", message, Authorization=f"Bearer {alertmanagers_token(governor)}")[0] == 200
    )


def test_a_flood_of_one_sender_is_held_back(governor: Asked) -> None:
    """It is told how long to wait, and another sender is not held back by it."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    def send(number: int) -> int:
        status, _ = answer(governor, "/v1/alerts", BODY, **signed(governor, identity=f"flood-{number % 3}"))
        return status

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(send, range(1500)))
    assert 429 in found
    assert found <= {200, 201, 429}
    assert governor.request("not-held-back").id == "not-held-back"
