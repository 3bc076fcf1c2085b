"""The gateway as the outside meets it: right and wrong questions, and a model server that is away or hangs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from tests.e2e.serving.conftest import QUESTION

pytestmark = pytest.mark.e2e

KETTLE = "/staging/v1/kettle"
RIDE = {"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": "2019-06-14T17:30:00"}


def post(shop: Any, http: urllib3.PoolManager, body: Any, path: str = KETTLE, **options: Any) -> tuple[int, Any, Any]:
    """Ask; answers with status, JSON and headers."""
    content = body if isinstance(body, bytes) or not isinstance(body, dict) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **options.pop("headers", {})}
    reply = http.request("POST", shop.gateway().url + path, body=content, headers=headers, **options)
    return reply.status, json.loads(reply.data), reply.headers


def test_an_answer_carries_the_version_that_gave_it(shop: Any) -> None:
    """Staging and production answer on their own routes."""
    staging, production = shop.serve(30.0), shop.serve(31.0, "production")
    assert shop.answer("staging") == (60.0, staging.version)
    assert shop.answer("production") == (62.0, production.version)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"pickup_zone": 264}, "pickup_zone"),
        ({"dropoff_zone": 0}, "dropoff_zone"),
        ({"dropoff_zone": "161"}, "dropoff_zone"),
        ({"pickup_zone": 1.5}, "pickup_zone"),
        ({"pickup_zone": True}, "pickup_zone"),
        ({"pickup_time": "2019-06-14T17:30:00Z"}, "pickup_time"),
        ({"pickup_time": "tomorrow"}, "pickup_time"),
        ({"pickup_time": 1560533400}, "pickup_time"),
        ({"pickup_time": "0001-01-01T00:00:00"}, "pickup_time"),
        ({"passengers": 0}, "passengers"),
        ({"passengers": 10}, "passengers"),
        ({"passengers": 10**30}, "passengers"),
        ({"trip_distance": 3.2}, "trip_distance"),
    ],
)
def test_a_question_that_makes_no_sense_gets_422_and_the_name_of_the_field(
    shop: Any, http: urllib3.PoolManager, wrong: dict[str, Any], named: str
) -> None:
    """Unknown zones, wrong types, times with a zone, and what is known only after the ride."""
    status, body, _ = post(shop, http, {**RIDE, **wrong}, "/v1/eta")
    assert status == 422
    assert named in body["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b'"\xff"', 400), (b"[" * 5000, 400), (b"[]", 422), (b"null", 422), (b"NaN", 422)],
)
def test_what_is_no_question_is_refused(shop: Any, http: urllib3.PoolManager, body: bytes, status: int) -> None:
    """Broken JSON is 400, other JSON is 422; nothing is 500."""
    found, said, _ = post(shop, http, body)
    assert found == status
    assert said["error"]["message"]


def test_a_body_that_is_too_large_gets_413_whole_or_in_pieces(shop: Any, http: urllib3.PoolManager) -> None:
    """One byte more than 16 KiB is too much; 16 KiB of spaces round a question are not."""
    question = json.dumps(QUESTION).encode()
    assert post(shop, http, question + b" " * (16 * 1024 - len(question)))[0] == 200
    assert post(shop, http, question + b" " * (16 * 1024 - len(question) + 1))[0] == 413
    pieces = (b" " * 1024 for _ in range(20))
    assert post(shop, http, pieces, chunked=True)[0] == 413


def test_other_routes_methods_and_media_types_are_told_so(shop: Any, http: urllib3.PoolManager) -> None:
    """404, 405 with what is allowed, 415."""
    assert post(shop, http, QUESTION, "/v1/nothing")[0] == 404
    assert post(shop, http, QUESTION, headers={"Content-Type": "text/plain"})[0] == 415
    reply = http.request("GET", shop.gateway().url + KETTLE)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert http.request("POST", shop.gateway().url + "/metrics").status == 405


def test_a_killed_model_server_gives_503_and_then_answers_again(
    shop: Any, http: urllib3.PoolManager, eventually: Callable[..., None]
) -> None:
    """The gateway outlives it, says when to come back, and needs no restart."""
    served = shop.serve(32.0)
    gateway = shop.pid("gateway")
    shop.kill("triton-staging", signal.SIGKILL)

    def is_away() -> bool:
        status, _, headers = post(shop, http, QUESTION)
        return status == 503 and headers["retry-after"] == "1"

    eventually(is_away)
    eventually(lambda: shop.ask().status == 200)
    assert shop.answer() == (64.0, served.version)
    assert shop.pid("gateway") == gateway


def test_a_model_server_that_hangs_gives_504(shop: Any, http: urllib3.PoolManager) -> None:
    """The rider is not left waiting; health answers meanwhile, and production is untouched."""
    shop.serve(33.0, "production")
    shop.serve(34.0)
    with shop.without("triton-staging"):
        assert post(shop, http, QUESTION)[0] == 504
        assert http.request("GET", shop.gateway().url + "/healthz").status == 200
        assert shop.answer("production")[0] == 66.0
    assert shop.answer()[0] == 68.0


def test_the_gateway_describes_and_counts_itself(shop: Any, http: urllib3.PoolManager) -> None:
    """The page fetches nothing from elsewhere; the document has every route; metrics count by status."""
    shop.serve(35.0)
    shop.answer()
    base = shop.gateway().url
    document = json.loads(http.request("GET", base + "/openapi.json").data)
    assert {"/v1/eta", "/staging/v1/eta", KETTLE} <= set(document["paths"])
    page = http.request("GET", base + "/docs").data.decode()
    assert "/v1/eta" in page
    assert "src=" not in page
    assert "//" not in page.replace("http://HOST:PORT", "")
    assert f'tiphys_gateway_requests_total{{route="{KETTLE}",status="200"}}' in (
        http.request("GET", base + "/metrics").data.decode()
    )
    assert http.request("GET", base + "/healthz").status == 200
