"""The ledger under writers who race, wrong tokens and wrong questions."""

from __future__ import annotations

import asyncio
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import urllib3

from tiphys.errors import RetryableError
from tiphys.release.client import ConflictError
from tiphys.release.records import Release, ServiceRelease
from tiphys.release.store import Store
from tiphys.stack import keys

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
        ("GET", "/v1/environments/staging/outcomes"),
        ("GET", "/v1/evidence"),
        ("POST", "/v1/evidence"),
        ("GET", "/v1/passports/0"),
        ("POST", "/v1/passports"),
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
        ("deploy", "POST /v1/environments/canary/releases", 403),
        ("canary", "POST /v1/environments/staging/releases", 403),
        ("canary", "POST /v1/environments/canary/releases", 422),
        ("canary", "POST /v1/environments/production/releases", 403),
        ("canary", "POST /v1/evidence", 422),
        ("judge", "POST /v1/environments/staging/releases", 403),
        ("judge", "POST /v1/environments/canary/releases", 403),
        ("judge", "POST /v1/evidence", 422),
        ("judge", "POST /v1/passports", 403),
        ("agent_staging", "POST /v1/environments/staging/releases", 422),
        ("agent_staging", "POST /v1/environments/canary/releases", 403),
        ("agent_staging", "POST /v1/environments/production/releases", 403),
        ("agent_production", "POST /v1/environments/production/releases", 422),
        ("agent_production", "POST /v1/environments/staging/releases", 403),
        ("agent_staging", "PUT /v1/environments/staging/observed", 422),
        ("agent_staging", "PUT /v1/environments/production/observed", 403),
        ("agent_canary", "PUT /v1/environments/production/observed", 403),
        ("promote", "PUT /v1/environments/production/observed", 403),
        ("agent_staging", "POST /v1/evidence", 403),
        ("agent_staging", "POST /v1/passports", 403),
        ("batch_score", "POST /v1/evidence", 403),
        ("deploy", "POST /v1/evidence", 422),
        ("deploy", "POST /v1/passports", 403),
        ("promote", "POST /v1/passports", 422),
        ("promote", "GET /v1/passports/nobody", 404),
        ("deploy", "POST /v1/environments/production/services", 403),
        ("deploy_service", "POST /v1/environments/production/services", 403),
        ("agent_staging", "POST /v1/environments/staging/services", 403),
        ("deploy_service", "POST /v1/environments/staging/services", 422),
        ("batch_score", "POST /v1/environments/staging/releases", 403),
        ("promote", "GET /v1/environments/moon", 404),
        ("promote", "DELETE /v1/environments/staging", 405),
        ("promote", "GET /v1/environments/staging?after=x", 422),
        ("promote", "POST /v1/environments/staging/releases", 422),
    ],
)
def test_a_role_may_do_its_own_and_nothing_else(
    shop: Any, http: urllib3.PoolManager, component: str, request_line: str, status: int
) -> None:
    """Staging's token cannot write production, an agent's cannot release nor touch what it does not stand in, a reader's cannot write."""
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


OLD = """
CREATE TABLE release (
    environment text NOT NULL, generation bigint NOT NULL CHECK (generation > 0), use_case text NOT NULL,
    model_version text NOT NULL, repository text NOT NULL, manifest_sha256 text NOT NULL, reason text NOT NULL,
    run text NOT NULL, made_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (environment, generation)
);
CREATE TABLE observed (
    environment text NOT NULL, model text NOT NULL, generation bigint NOT NULL, state text NOT NULL,
    message text NOT NULL, version text NOT NULL, reported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment, model)
);
INSERT INTO release VALUES ('staging', 1, 'tests.races', 'models:/races/1', 's3://models/races/1/', repeat('0', 64), '', 'old');
INSERT INTO observed VALUES ('staging', 'races', 1, 'serving', 'version 1 answers', '1');
"""


def test_a_database_from_before_is_taken_over(shop: Any) -> None:
    """Its releases read as what they were, the line of generations goes on, and the same release is written once."""
    secret = shop.stack.secrets["ledger"]
    url = secret["TIPHYS_LEDGER_DB_URL"].rpartition("/")[0]
    login = (secret["TIPHYS_LEDGER_DB_USER"], secret["TIPHYS_LEDGER_DB_PASSWORD"])
    passwords = keys.read(shop.stack.settings.home / "secrets" / "keys.json").passwords
    with psycopg.connect(
        f"{url}/postgres", user="postgres", password=passwords["postgres"], autocommit=True
    ) as database:
        database.execute("CREATE DATABASE old_ledger OWNER ledger")
    with psycopg.connect(f"{url}/old_ledger", user=login[0], password=login[1]) as database:
        database.execute(OLD)

    async def go_on() -> list[int]:
        store = Store(f"{url}/old_ledger", *login)
        found = (await store.current("staging")).releases[RACES]
        assert (found.kind, found.share, found.until, found.passport) == ("release", 0.0, None, "")
        again = await store.append("staging", 1, found.release())
        newer = await store.append("staging", 1, racer(2))
        await store.close()
        return [each.generation for each in (again, newer) if each is not None]

    assert asyncio.run(go_on()) == [1, 2]


def test_columns_that_a_newer_ledger_added_hide_nothing_from_this_one(shop: Any) -> None:
    """While one is exchanged for the other, or after going back to the older, both read the same tables."""
    secret = shop.stack.secrets["ledger"]
    tables = ("release", "service_release", "evidence", "passport", "outcome", "observed")
    release = shop.put(shop.make(39.0))
    with psycopg.connect(
        secret["TIPHYS_LEDGER_DB_URL"], user=secret["TIPHYS_LEDGER_DB_USER"],
        password=secret["TIPHYS_LEDGER_DB_PASSWORD"], autocommit=True,
    ) as database:  # fmt: skip
        for table in tables:
            database.execute(f"ALTER TABLE {table} ADD COLUMN newer text NOT NULL DEFAULT 'x'")
        try:
            ledger, proven = shop.ledger("cli"), shop.certified(release)
            recorded = shop.release(proven)
            ledger.wait_until_served(recorded, 60)
            assert ledger.current("staging").releases[recorded.use_case] == ledger.history("staging")[0] == recorded
            assert ledger.passport(proven.passport).text
            assert ledger.outcomes("staging")[0].generation == recorded.generation
            assert ledger.evidence(manifest_sha256=release.manifest_sha256)
            newest = ledger.services("staging", 1)
            start = newest[0].generation if newest else 0
            assert shop.ledger("deploy_service").release_services("staging", services(start + 1), start)
        finally:
            for table in tables:
                database.execute(f"ALTER TABLE {table} DROP COLUMN newer")


def test_a_ledger_that_was_killed_goes_on(shop: Any, eventually: Any) -> None:
    """What was written is there, and the line of generations has no gap."""
    ledger = shop.ledger("deploy")
    before = ledger.history("staging")
    shop.kill("ledger", signal.SIGKILL)

    def answers() -> bool:
        try:
            return bool(ledger.history("staging") == before)
        except RetryableError:
            return False

    eventually(answers)
    assert ledger.release("staging", racer(before[0].generation + 20_000), before[0].generation).generation == (
        before[0].generation + 1
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE release SET run = 'forged'",
        "DELETE FROM release",
        "TRUNCATE release",
        "UPDATE service_release SET images = '{}'",
        "DELETE FROM service_release",
        "TRUNCATE service_release",
        "UPDATE evidence SET held = true",
        "DELETE FROM evidence",
        "TRUNCATE evidence",
        "UPDATE passport SET text = '{}'",
        "DELETE FROM passport",
        "UPDATE outcome SET state = 'serving'",
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
