"""The way into production: passports, promotion, refusals, and what the ledger tells of them when it is alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest
import urllib3

from tiphys.errors import PermanentError
from tiphys.release import aliases, passport, signing
from tiphys.release.client import ConflictError
from tiphys.release.records import Evidence, Passport, Release
from tiphys.settings import PassportSettings, TrackingSettings, load
from tiphys.tracking import Tracking

pytestmark = pytest.mark.e2e


def key(shop: Any) -> str:
    """The stack's own passport key."""
    return load(PassportSettings, shop.stack.environment("cli")).key


def sealed(shop: Any, release: Release, by: str = "") -> Passport:
    """A sound passport of a release, its evidence in the ledger."""
    return passport.seal(passport.state(release, shop.prove(release), "a test", release.run), by or key(shop))


def into_production(shop: Any, release: Release) -> None:
    """Release it."""
    ledger = shop.ledger()
    ledger.release_over(ledger.current("production"), release)


def test_nothing_reaches_production_without_a_passport(shop: Any) -> None:
    """Neither with none, nor with one that the ledger never saw; the remedy is named."""
    release = shop.put(shop.make(30.0))
    with pytest.raises(PermanentError, match=r"without a passport.*tiphys release promote"):
        into_production(shop, release)
    with pytest.raises(PermanentError, match="no passport dddd"):
        into_production(shop, release.model_copy(update={"passport": "d" * 64}))


def test_a_passport_opens_production_to_its_own_release_alone(shop: Any) -> None:
    """One of another model, be it sound, lets nothing in."""
    first, second = (shop.put(shop.make(factor)) for factor in (30.0, 31.0))
    with pytest.raises(PermanentError, match=r"does not fit: model_version is 'models:/tiny/\d+'"):
        into_production(shop, second.model_copy(update={"passport": shop.certified(first).passport}))


def test_a_passport_altered_by_one_byte_is_refused(shop: Any) -> None:
    """At every fiftieth byte of its text."""
    good = sealed(shop, shop.put(shop.make(32.0)))
    ledger = shop.ledger("cli")
    for at in range(0, len(good.text), max(1, len(good.text) // 50)):
        bad = good.text[:at] + chr(ord(good.text[at]) ^ 1) + good.text[at + 1 :]
        with pytest.raises(PermanentError, match="altered"):
            ledger.add_passport(good.model_copy(update={"text": bad}))
    assert ledger.add_passport(good) == ledger.add_passport(good)


def test_a_passport_of_another_key_is_refused(shop: Any) -> None:
    """Whoever makes a key of their own is told which are trusted."""
    with pytest.raises(PermanentError, match="not trusted"):
        shop.ledger("cli").add_passport(sealed(shop, shop.put(shop.make(33.0)), by="33" * 32))


@pytest.mark.parametrize("change", ["invented", "held"])
def test_a_signed_passport_whose_evidence_the_ledger_does_not_have_is_refused(shop: Any, change: str) -> None:
    """The key alone opens nothing: evidence that was never left, or that did not hold, is looked up."""
    release = shop.put(shop.make(34.0))
    shop.prove(release, **({"load_test": "p99 is 90 ms"} if change == "held" else {}))
    found = [
        each.model_copy(update={"held": True, "number": each.number + 10_000 * (change == "invented")})
        for each in shop.ledger().evidence(manifest_sha256=release.manifest_sha256)
    ]
    forged = passport.seal(passport.state(release, found, "a forger", release.run), key(shop))
    sha256 = shop.ledger("cli").add_passport(forged)
    with pytest.raises(PermanentError, match=r"load-test is not evidence \d+ of the ledger"):
        into_production(shop, release.model_copy(update={"passport": sha256}))


def test_a_passport_whose_evidence_fell_since_is_refused(shop: Any) -> None:
    """It held when it was signed; another look found otherwise."""
    release = shop.certified(shop.put(shop.make(35.0)))
    shop.prove(release, canary="1 of 20 answers was no number")
    with pytest.raises(PermanentError, match="canary did not hold when it was looked at again"):
        into_production(shop, release)


@pytest.mark.parametrize(
    ("environment", "fields", "said"),
    [
        ("staging", {"share": 0.1}, "share, shadow and until are of a release into canary"),
        ("production", {"shadow": 0.1}, "share, shadow and until are of a release into canary"),
        ("staging", {"kind": "withdrawal"}, "only a canary is withdrawn"),
        ("canary", {"kind": "withdrawal", "share": 0.1}, "share, shadow and until are of a release into canary"),
        ("staging", {"kind": "rollback"}, "staging never had"),
        ("production", {"kind": "rollback"}, "production never had"),
        ("staging", {"reason": "a\0b"}, "the ledger cannot keep that"),
    ],
)
def test_a_release_that_does_not_fit_its_environment_is_refused(
    shop: Any, environment: str, fields: dict[str, Any], said: str
) -> None:
    """And nothing of it is written."""
    ledger = shop.ledger()
    release = Release(
        use_case="tests.nobody", model_version="models:/nobody/1", repository="s3://models/nobody/1/",
        manifest_sha256="9" * 64, **fields,
    )  # fmt: skip
    with pytest.raises(PermanentError, match=said):
        ledger.release_over(ledger.current(environment), release)
    assert "tests.nobody" not in ledger.current(environment).releases


def test_an_agent_may_take_away_and_nothing_else(shop: Any) -> None:
    """It may go back to what was there; it may bring nothing new, and no other model under the name of a rollback."""
    first, second = shop.serve(36.0), shop.serve(37.0)
    agent = shop.ledger("agent_staging")
    history = agent.history("staging", use_case="tests.usecases.tiny")
    before = next(each for each in history if each.number == first.version).release()
    seen = agent.current("staging")
    with pytest.raises(PermanentError, match="may not release into staging"):
        agent.release_over(seen, before.model_copy(update={"run": "agent"}))
    forged = before.model_copy(update={"kind": "rollback", "manifest_sha256": "8" * 64})
    with pytest.raises(PermanentError, match="staging never had"):
        agent.release_over(seen, forged)
    recorded = agent.release_over(seen, before.model_copy(update={"kind": "rollback", "run": "agent"}))
    assert shop.ledger().wait_until_served(recorded, 60).version == first.version != second.version


@pytest.mark.parametrize("environment", ["canary", "production"])
def test_stagings_agent_takes_nothing_away_elsewhere_and_reports_nothing_there(shop: Any, environment: str) -> None:
    """Whoever has the token of staging's agent cannot send users back, nor say what serves them."""
    shop.serve(36.5, environment)
    shop.serve(36.6, environment)
    agent, right = shop.ledger("agent_staging"), shop.ledger(f"agent_{environment}")
    seen = agent.current(environment)
    newest, before = agent.history(environment, use_case="tests.usecases.tiny")[:2]
    back = before.release().model_copy(update={"kind": "rollback", "run": "agent"})
    with pytest.raises(PermanentError, match=f"a token of agent:staging may not release into {environment}"):
        agent.release_over(seen, back)
    said = seen.observed["tiny"]
    with pytest.raises(PermanentError, match=f"may not report what {environment} serves"):
        agent.observe(environment, said.model_copy(update={"state": "failed", "message": "forged"}))
    assert right.current(environment).releases == seen.releases
    assert right.current(environment).observed["tiny"] == said
    assert right.release_over(seen, back).generation == newest.generation + 1


def test_the_same_evidence_of_the_same_run_is_written_once(shop: Any) -> None:
    """A step that is tried again leaves one piece; what differs, or comes after something else, is another."""
    release = shop.put(shop.make(38.0))
    once, again = shop.prove(release), shop.prove(release)
    assert once == again
    fallen = shop.prove(release, judgement="the riders complained")
    assert [each.number for each in fallen[:-1]] == [each.number for each in once[:-1]]
    assert fallen[-1].number > once[-1].number
    assert shop.prove(release)[-1].number > fallen[-1].number


def test_evidence_is_found_however_often_something_else_was_looked_at(shop: Any) -> None:
    """Hundreds of load tests of one manifest hide no other kind, and what a passport cites is found by its number."""
    release = shop.certified(shop.put(shop.make(39.0)))
    ledger, cited = shop.ledger("cli"), shop.ledger().weighed(release.manifest_sha256)
    what = release.model_dump(include={"use_case", "model_version", "manifest_sha256"})
    for number in range(220):
        ledger.add_evidence(Evidence(**what, kind="load-test", held=True, content={}, run=f"run-{number}"))
    found = ledger.weighed(release.manifest_sha256)
    assert sorted(each.kind for each in found) == sorted(passport.KINDS)
    assert next(each.run for each in found if each.kind == "load-test") == "run-219"
    numbers = [each.number for each in cited]
    assert {each.number for each in ledger.weighed(release.manifest_sha256, numbers)} > set(numbers)
    into_production(shop, release)


def test_evidence_that_is_too_large_is_refused(shop: Any, http: urllib3.PoolManager) -> None:
    """Before it is parsed where it is far too large, and else with both sizes."""
    url = shop.stack.config["TIPHYS_LEDGER_URL"] + "/v1/evidence"
    headers = {"Authorization": f"Bearer {shop.stack.environment('deploy')['TIPHYS_LEDGER_TOKEN']}"}
    assert http.request("POST", url, headers=headers, body=b" " * 140_000).status == 413
    what = shop.put(shop.make(39.0)).model_dump(include={"use_case", "model_version", "manifest_sha256"})
    body = {**what, "kind": "canary", "held": True, "content": {"text": "x" * 70_000}}
    reply = http.request("POST", url, headers=headers, body=json.dumps(body))
    assert (reply.status, "65536 are allowed" in reply.data.decode()) == (422, True)


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(shop: Any) -> None:
    """Fifty races: both saw the same production, both have a sound passport; the history has no gap and nobody twice."""
    start = shop.ledger().current("production").generation
    contenders = [shop.certified(_racer(number)) for number in (1, 2)]

    def promote(number: int, race: int, line: Barrier) -> str:
        ledger = shop.ledger()
        seen = ledger.current("production")
        line.wait(30)
        release = contenders[number].model_copy(update={"run": f"race-{race}-{number}"})
        try:
            return f"won {ledger.release_over(seen, release).generation}"
        except ConflictError as error:
            return f"lost: {error}"

    with ThreadPoolExecutor(2) as pool:
        for race in range(50):
            line = Barrier(2)
            told = sorted(pool.map(promote, (0, 1), (race, race), (line, line)))
            assert [each.split()[0] for each in told] == ["lost:", "won"]
            assert f"production is at generation {start + race + 1}, not {start + race}" in told[0]
            assert told[1] == f"won {start + race + 1}"


def _racer(number: int) -> Release:
    """A release of no use case that there is: the ledger does not care, the agent refuses it."""
    return Release(
        use_case="tests.racers",
        model_version=f"models:/racers/{number}",
        repository=f"s3://models/racers/{number}/",
        manifest_sha256=f"{number:064d}",
    )


def test_promotion_demands_every_kind_of_evidence(shop: Any) -> None:
    """At the command line, too: what is missing and what did not hold are named, and production stays as it is."""
    served = shop.serve(40.0)
    release = shop.ledger().current("staging").releases["tests.usecases.tiny"]
    said = shop.cli("release", "promote", "tiny", code=65)
    assert "no evidence of kind evaluation; no evidence of kind export" in said
    shop.prove(release, load_test="p99 is 90 ms")
    said = shop.cli("release", "promote", "tiny", code=65)
    assert "load-test did not hold" in said
    assert f"tiphys release why {release.model_version}" in said
    production = shop.ledger().current("production").releases.get("tests.usecases.tiny")
    assert production is None or production.number != served.version


def test_what_was_proven_is_promoted_and_the_story_is_told_by_the_ledger_alone(shop: Any) -> None:
    """A promotion, a refusal and a rollback, retold while MLflow, S3 and all agents are away."""
    for factor in (41.0, 42.0):
        shop.serve(factor)
        shop.prove(shop.ledger().current("staging").releases["tests.usecases.tiny"])
        assert "production serves" in shop.cli("release", "promote", "tiny", "--reason", "it is better")
    promoted = shop.ledger().current("production").releases["tests.usecases.tiny"]
    assert "already in production" in shop.cli("release", "promote", "tiny")
    assert shop.triton("production", promoted.number) == 84.0
    refused = shop.serve(43.0)
    shop.prove(shop.ledger().current("staging").releases["tests.usecases.tiny"], canary="off by 30 %")
    assert "went back" in shop.cli("release", "rollback", "production", "tiny", "--reason", "kettles explode")
    with shop.without("mlflow", "s3", "agent-staging", "agent-canary", "agent-production"):
        story = shop.cli("release", "why", "production", "--generation", str(promoted.generation))
        refusal = shop.cli("release", "why", f"models:/tiny/{refused.version}")
        rollback = shop.cli("release", "why", "production", "--use-case", "tiny")
        history = shop.cli("release", "list", "production")
    for told in (
        "it is better", "at the command line", "tiny.boilings@test", "0" * 40, "mean absolute error 20.5",
        "against status quo 40 (-48.8 %)", "against lightgbm 22 (-6.8 %)", "is trusted; signature and release fit",
        *passport.KINDS,
    ):  # fmt: skip
        assert told in story
    assert "did not reach production" in refusal
    assert "off by 30 %" in refusal
    assert f"production went back to models:/tiny/{int(promoted.number) - 1}" in rollback
    assert "kettles explode" in rollback
    for told in ("rollback", "refused", "release", "canary: off by 30 %", "kettles explode"):
        assert told in history


def test_what_serves_is_verified_down_to_its_files(shop: Any) -> None:
    """Signature, evidence, every file in S3 and the image; one byte in S3 is found, and named."""
    shop.serve(44.0, "production")
    release = shop.ledger().current("production").releases["tests.usecases.tiny"]
    sound = json.loads(shop.cli("release", "verify", "production", "--use-case", "tiny", "--json"))["checks"]
    assert {each["name"] for each in sound} >= {"signature", "evidence", "manifest", "model.onnx", "image", "served"}
    assert all(each["holds"] for each in sound)
    store, path = shop.store("package"), f"{release.repository}tiny/{release.number}/model.onnx"
    good = store.get(path)
    store.put(path, good[:200] + bytes([good[200] ^ 1]) + good[201:])
    said = shop.cli("release", "verify", release.model_version, code=1)
    store.put(path, good)
    assert f"NO  model.onnx             {path} has sha256" in said
    assert shop.cli("release", "verify", release.model_version)


def test_a_passport_that_was_altered_in_the_database_is_found(shop: Any) -> None:
    """Whoever owns the database and switches its trigger off still cannot sign: it opens nothing, and is told."""
    release = shop.certified(shop.put(shop.make(45.0)))
    good = shop.ledger().passport(release.passport)
    bad = good.text.replace('"mae":20.5', '"mae":10.5')
    secret = shop.stack.secrets["ledger"]
    with psycopg.connect(
        secret["TIPHYS_LEDGER_DB_URL"],
        user=secret["TIPHYS_LEDGER_DB_USER"],
        password=secret["TIPHYS_LEDGER_DB_PASSWORD"],
    ) as database:
        database.execute("ALTER TABLE passport DISABLE TRIGGER ALL")
        database.execute("UPDATE passport SET text = %s WHERE sha256 = %s", (bad, release.passport))
        database.execute("ALTER TABLE passport ENABLE TRIGGER ALL")
    with pytest.raises(PermanentError, match="altered"):
        into_production(shop, release)
    assert signing.verifies(good.public_key, good.text, good.signature)


@pytest.mark.parametrize("shell", ["rider", "evaluate"])
def test_a_shell_that_asks_as_somebody_else_still_releases_as_the_person(shop: Any, shell: str) -> None:
    """After ``eval "$(tiphys env rider)"``, which has no token for the ledger: its address is the stack's own."""
    recorded = shop.release(shop.put(shop.make(47.0)))
    shop.ledger().wait_until_served(recorded, 60)
    assert recorded.model_version in shop.cli("release", "list", shell=shell)
    assert recorded.model_version in shop.cli("release", "show", "staging", shell=shell)
    shop.prove(recorded.release())
    assert recorded.model_version in shop.cli("release", "promote", "tiny", shell=shell)


def test_mlflows_alias_follows_the_ledger(shop: Any) -> None:
    """It names what serves; a server that is away is a warning, and undoes nothing."""
    settings = load(TrackingSettings, shop.stack.environment("promote"))
    tracking = Tracking(settings)
    run = tracking.start_run("kettles", "by hand", {})
    for number in (1, 2):
        version = tracking.register("tiny_aliased", run.id, "model", {"sha256": f"{number:064d}"})
        recorded = shop.release(_racer(1).model_copy(update={"model_version": version.uri, "run": f"alias-{number}"}))
        assert aliases.follow(recorded, settings) == ""
        assert tracking.aliased("tiny_aliased", "staging").number == number
    with shop.without("mlflow"):
        assert "tiny_aliased@staging still names another version" in aliases.follow(recorded, settings)


def test_evidence_is_found_by_what_it_is_of(shop: Any) -> None:
    """By version, repository and kind, newest first."""
    release = shop.put(shop.make(46.0))
    shop.prove(release)
    ledger = shop.ledger("batch_score")  # a reader
    assert len(ledger.evidence(model_version=release.model_version)) == 6
    (one,) = ledger.evidence(manifest_sha256=release.manifest_sha256, kind="canary")
    assert (one.kind, one.held) == ("canary", True)
    with pytest.raises(PermanentError, match="may leave no evidence"):
        ledger.add_evidence(Evidence(**one.evidence().model_dump()))
