"""The ledger under writers who race, wrong tokens and wrong questions."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import urllib3

from tiphys.release.client import ConflictError
from tiphys.release.records import Release, ServiceRelease

pytestmark = pytest.mark.e2e

RACES = "tests.races"


def racer(number: int) -> Release:
    """A release of no use case that there is: the ledger does not care, the agent refuses it."""
    return Release(
        use_case=RACES,
        model_version=f"models:/races/{number}",
        repository="s3://models/races/1/",
        manifest_sha256="0" * 64,
        run=f"racer-{number}",
    )


def test_of_fifty_releases_at_once_one_wins_each_round(shop: Any) -> None:
    """Whoever loses is told 409; the history stays one line without a gap."""
    ledger = shop.ledger("deploy")
    start = ledger.current("staging").generation

    def write(number: int, generation: int) -> bool:
        try:
            shop.ledger("deploy").release("staging", racer(number), generation)
        except ConflictError:
            return False
        return True

    for turn in range(3):
        generation = ledger.current("staging").generation
        with ThreadPoolExecutor(50) as pool:
            won = list(pool.map(write, range(turn * 50, turn * 50 + 50), [generation] * 50))
        assert won.count(True) == 1
    history = [each.generation for each in ledger.history("staging")]
    assert history[:4] == [start + 3, start + 2, start + 1, start][: len(history)]


def test_the_same_release_of_the_same_run_is_written_once(shop: Any, eventually: Any) -> None:
    """A step that is tried again finds what it wrote; once the agent refused it, it may be written again."""
    ledger = shop.ledger("deploy")
    first = shop.release(shop.put(shop.make(1.0)))
    again = ledger.release("staging", first.release(), first.generation)
    assert again == first
    refused = ledger.release_over(ledger.current("staging"), racer(1000))

    def is_refused() -> bool:
        observed = ledger.current("staging").observed.get("races")
        return observed is not None and (observed.generation, observed.state) == (refused.generation, "failed")

    eventually(is_refused)
    assert ledger.release_over(ledger.current("staging"), racer(1000)).generation > refused.generation


def test_a_reader_who_waits_is_told_at_once(shop: Any) -> None:
    """The long poll ends with the release, not with its time."""
    generation = shop.ledger("deploy").current("staging").generation
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shop.ledger("deploy").current, "staging", after=generation, wait=29)
        shop.ledger("deploy").release("staging", racer(generation + 10_000), generation)
        assert waiting.result(timeout=20).generation == generation + 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/environments/staging"),
        ("GET", "/v1/environments/staging/releases"),
        ("POST", "/v1/environments/staging/releases"),
        ("PUT", "/v1/environments/staging/observed"),
        ("GET", "/v1/environments/staging/services"),
        ("POST", "/v1/environments/staging/services"),
    ],
)
@pytest.mark.parametrize("authorization", [None, "Bearer made-up", "Basic abc", "Bearer"])
def test_nothing_is_told_to_or_taken_from_strangers(
    shop: Any, http: urllib3.PoolManager, method: str, path: str, authorization: str | None
) -> None:
    """Every route but health and metrics wants a token that it knows."""
    headers = {"Authorization": authorization} if authorization else {}
    reply = http.request(method, shop.stack.config["TIPHYS_LEDGER_URL"] + path, headers=headers)
    assert reply.status == 401
    assert json.loads(reply.data)["error"]["code"] == "unauthorized"


@pytest.mark.parametrize(
    ("component", "request_line", "status"),
    [
        ("deploy", "POST /v1/environments/production/releases", 403),
        ("deploy", "PUT /v1/environments/staging/observed", 403),
        ("agent", "POST /v1/environments/staging/releases", 403),
        ("deploy", "POST /v1/environments/production/services", 403),
        ("deploy_service", "POST /v1/environments/production/services", 403),
        ("agent", "POST /v1/environments/staging/services", 403),
        ("deploy_service", "POST /v1/environments/staging/services", 422),
        ("gateway", "POST /v1/environments/staging/releases", 403),
        ("promote", "GET /v1/environments/moon", 404),
        ("promote", "DELETE /v1/environments/staging", 405),
        ("promote", "GET /v1/environments/staging?after=x", 422),
        ("promote", "POST /v1/environments/staging/releases", 422),
    ],
)
def test_a_role_may_do_its_own_and_nothing_else(
    shop: Any, http: urllib3.PoolManager, component: str, request_line: str, status: int
) -> None:
    """Staging's token cannot write production, the agent's cannot release, a reader's cannot write."""
    method, path = request_line.split()
    headers = {"Authorization": f"Bearer {shop.stack.environment(component)['TIPHYS_LEDGER_TOKEN']}"}
    reply = http.request(method, shop.stack.config["TIPHYS_LEDGER_URL"] + path, headers=headers, body=b"{}")
    assert reply.status == status
    assert reply.status == 405 or json.loads(reply.data)["error"]["message"]


def test_a_body_that_is_too_large_is_refused(shop: Any, http: urllib3.PoolManager) -> None:
    """Also when it comes in pieces without a length."""
    url = shop.stack.config["TIPHYS_LEDGER_URL"] + "/v1/environments/staging/releases"
    headers = {"Authorization": f"Bearer {shop.stack.environment('deploy')['TIPHYS_LEDGER_TOKEN']}"}
    assert http.request("POST", url, headers=headers, body=b" " * 17_000).status == 413
    pieces = (b" " * 1000 for _ in range(17))
    assert http.request("POST", url, headers=headers, body=pieces, chunked=True).status == 413


def services(number: int) -> ServiceRelease:
    """A release of services."""
    images = {"gateway": f"registry.example.org/team/gateway@sha256:{number:064x}"}
    return ServiceRelease(revision=f"{number:040x}", images=images, run=f"run-{number}")


def test_of_two_releases_of_services_at_once_one_wins(shop: Any) -> None:
    """They have a line of generations of their own; the same release of the same run is written once."""
    ledger = shop.ledger("deploy_service")
    models = ledger.current("staging").generation
    newest = ledger.services("staging")
    start = newest[0].generation if newest else 0
    written = ledger.release_services("staging", services(start + 1), start)
    assert written.generation == start + 1
    assert ledger.release_services("staging", services(start + 1), start + 1) == written
    with pytest.raises(ConflictError, match="not at generation"):
        ledger.release_services("staging", services(start + 2), start)
    assert ledger.services("staging") == [written]
    assert ledger.current("staging").generation == models


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE release SET run = 'forged'",
        "DELETE FROM release",
        "TRUNCATE release",
        "UPDATE service_release SET images = '{}'",
        "DELETE FROM service_release",
        "TRUNCATE service_release",
    ],
)
def test_what_is_written_cannot_be_changed(shop: Any, statement: str) -> None:
    """The table itself refuses, whoever asks with the ledger's own role."""
    secret = shop.stack.secrets["ledger"]
    url = secret["TIPHYS_LEDGER_DB_URL"]
    with (
        psycopg.connect(url, user=secret["TIPHYS_LEDGER_DB_USER"], password=secret["TIPHYS_LEDGER_DB_PASSWORD"]) as db,
        pytest.raises(psycopg.errors.RaiseException, match="append-only"),
    ):
        db.execute(statement)
