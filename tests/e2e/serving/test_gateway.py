"""The gateway in the whole stack: real agents, real releases, a real S3. What needs less is in tests/e2e/gateway."""

from __future__ import annotations

import gzip
import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from tests.e2e.serving.conftest import QUESTION
from tiphys.settings import AdminSettings, AskerSettings, load

pytestmark = pytest.mark.e2e

KETTLE = "/staging/v1/kettle"
RIDE = {"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": "2019-06-14T17:30:00"}


def post(
    shop: Any, http: urllib3.PoolManager, body: Any, path: str = KETTLE, principal: str = "cli", **options: Any
) -> tuple[int, Any, Any]:
    """Ask with the key of ``principal``; answers with status, JSON and headers."""
    content = body if isinstance(body, bytes) or not isinstance(body, dict) else json.dumps(body).encode()
    key = load(AskerSettings, shop.stack.environment(principal)).key
    headers = {"Content-Type": "application/json", "X-API-Key": key, **options.pop("headers", {})}
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


def test_a_killed_model_server_is_missed_for_a_moment_only(
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
    """Who tests is not left waiting; health answers meanwhile, and production is untouched."""
    shop.serve(33.0, "production")
    shop.serve(34.0)
    assert shop.answer()[0] == 68.0
    with shop.without("triton-staging"):
        assert post(shop, http, QUESTION)[0] in {503, 504}
        assert http.request("GET", shop.gateway().url + "/healthz").status == 200
        assert shop.answer("production")[0] == 66.0


def test_answers_and_outcomes_land_on_s3(shop: Any, http: urllib3.PoolManager, eventually: Callable[..., None]) -> None:
    """Below the use case and the day, gzip'd, a line each; every line is accounted for."""
    shop.serve(35.0, "production")
    assert shop.answer("production")[0] == 70.0
    assert post(shop, http, QUESTION, "/v1/kettle", "rider")[1]["seconds"] == 70.0
    outcome = {"prediction_id": "0123456789abcdef" * 2, "actual": 71.5}
    assert post(shop, http, outcome, "/v1/kettle/feedback", "rider")[0] == 202
    store = shop.store("gateway")

    def lines(kind: str) -> list[dict[str, Any]]:
        objects = store.list(f"s3://landing/{kind}/tiny/date=")
        return [json.loads(line) for each in objects for line in gzip.decompress(store.get(each.uri)).splitlines()]

    eventually(lambda: any(each["prediction_id"] == outcome["prediction_id"] for each in lines("feedback")))
    eventually(lambda: any((each["arm"], each["value"]) == ("production", 70.0) for each in lines("predictions")))
    token = load(AdminSettings, shop.stack.environment("cli")).token
    address = shop.stack.config["TIPHYS_GATEWAY_ADMIN_URL"] + "/admin/v1/arms"
    spool = json.loads(http.request("GET", address, headers={"Authorization": f"Bearer {token}"}).data)["spool"]
    assert spool["written"] == spool["landed"] + spool["waiting"] + spool["dropped"]
    assert spool["dropped"] == 0
