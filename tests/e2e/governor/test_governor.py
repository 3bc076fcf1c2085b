"""The governor on PostgreSQL and the engine: what is taken is decided once, and started once, whoever dies in between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.e2e.governor.conftest import Asked
from tiphys.errors import PermanentError, RetryableError
from tiphys.watch import governor_client
from tiphys.watch.alerts import Alert, Request

pytestmark = pytest.mark.e2e
TINY = "tests.usecases.tiny"


def test_alerts_of_one_fingerprint_start_one_training_and_others_wait_for_its_end(governor: Asked) -> None:
    """The first of them is answered with a run for all; another is told that it runs, and nothing is started."""
    governor.watch.hold.touch()
    for number in range(5):
        governor.alert(
            f"burst-{number}",
            subject="cold",
            labelled=180 + 30 * number,
            window={"from": "2019-05-12T00:00:00Z", "to": "2019-05-13T00:00:00Z"},
        )
    first = governor.decided("burst-0")
    assert (first.verdict, first.counted["alerts"], first.counted["labelled"]) == ("yes", 5, 300)
    others = [governor.decided(f"burst-{number}") for number in range(1, 5)]
    assert {each.verdict for each in others} == {"no"}
    assert all(each.counted == {"one_with": "burst-0"} for each in others)
    governor.alert("other", subject="warm")
    assert f"training {first.run}, which burst-0 started" in governor.decided("other").reason
    governor.request("asked")
    assert f"training {first.run}" in governor.decided("asked").reason
    governor.watch.hold.unlink()
    assert governor.ended("burst-0").run_phase == "Succeeded"
    (run,) = [each for each in governor.watch.runs() if each["metadata"]["name"] == first.run]
    given = {each["name"]: each["value"] for each in run["spec"]["arguments"]["parameters"]}
    assert given == {
        "use-case": TINY, "source": "s3://landing/boilings/", "live": "true", "recent-from": "2019-05-12T00:00:00",
        "champion": "models:/tiny@production", "started-by": "alert", "promote": "true", "governed": "true",
    }  # fmt: skip
    assert run["metadata"]["annotations"]["tiphys/alert"] == "burst-0"
    governor.alert("too-soon", subject="hot")
    assert "the cool-down is 10 min" in governor.decided("too-soon").reason


def test_a_hundred_at_once_with_one_id_are_one_event_also_after_a_restart(governor: Asked) -> None:
    """One is told that it is new; all get the same record, for ever."""
    event = Alert(use_case=TINY, kind="volume", subject="all")

    def send(_: int) -> governor_client.Reply:
        return governor_client.send(governor.monitor, event, "once")

    with ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(send, range(100)))
    assert Counter(each.is_new for each in replies) == {True: 1, False: 99}
    assert len({each.event.number for each in replies}) == 1
    decided = governor.decided("once")
    governor.watch.kill("governor")
    governor.watch.start("governor")
    again = send(0)
    assert (again.is_new, again.event) == (False, decided)
    other = governor_client.send(governor.monitor, event.model_copy(update={"subject": "another"}), "once")
    assert (other.is_new, other.event.subject) == (False, "all")


def test_a_yes_that_could_not_be_posted_is_posted_by_the_next_governor_once(new_governor: Callable[..., Asked]) -> None:
    """Killed between decision and engine, then between the engine's answer and writing it down."""
    governor = new_governor(TIPHYS_GOVERNOR_SPEED="60")
    governor.train()
    governor.request("known")
    governor.ended("known")
    governor.watch.kill("engine")
    governor.request("killed")
    yes = governor.decided("killed")
    assert (yes.verdict, yes.run_phase) == ("yes", "to be posted")
    governor.watch.kill("governor")
    governor.watch.start("engine")
    governor.watch.start("governor")
    assert governor.ended("killed").run_phase == "Succeeded"
    governor.watch.kill("governor")
    with _database(governor) as database:
        database.execute("UPDATE flight SET accepted_at = NULL, seen_at = NULL, ended_at = NULL, phase = ''")
    governor.watch.start("governor")
    assert {governor.ended(each).run for each in ("known", "killed")} == set(governor.runs())
    assert len(governor.runs()) == 2


def test_a_binding_that_is_not_there_is_told_and_what_comes_while_the_engine_is_away_waits(
    new_governor: Callable[..., Asked],
) -> None:
    """What to train on can't be asked; nothing is refused for that."""
    governor = new_governor()
    governor.watch.kill("engine")
    governor.request("early")
    waits = governor.until(lambda: governor.told("early"), lambda told: "does not answer" in told.reason, 30.0)
    assert waits.verdict == "wait"
    governor.watch.start("engine")
    assert "no training of tests.usecases.tiny has reached production here" in governor.decided("early").reason
    governor.train()
    governor.request("later")
    assert governor.decided("later").verdict == "yes"


def test_two_governors_beside_one_another_decide_once(new_governor: Callable[..., Asked]) -> None:
    """Whoever is second finds the decision; no two trainings have one number, none run at once."""
    governor = new_governor(TIPHYS_GOVERNOR_SPEED="60")
    governor.train()
    second = governor.watch.twin("canary_metrics")
    names = [f"event-{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(governor.request, names))
    decided = [governor.decided(each) for each in names]
    assert second.poll() is None
    yes = [each.run for each in decided if each.verdict == "yes"]
    assert 1 <= len(yes) <= 3  # the budget
    for each in decided:
        if each.verdict == "yes":
            governor.ended(each.id)
    assert sorted(governor.runs()) == sorted(yes)
    with _database(governor) as database:
        (decisions,) = database.execute("SELECT count(*) FROM decision").fetchone() or (0,)
    assert decisions == 40


@pytest.mark.parametrize(
    "statement",
    ["UPDATE event SET id = 'forged'", "DELETE FROM event", "UPDATE decision SET verdict = 'yes'", "TRUNCATE decision CASCADE", "DELETE FROM training"],
)  # fmt: skip
def test_what_is_written_cannot_be_changed(governor: Asked, statement: str) -> None:
    """The table itself refuses."""
    with _database(governor) as database, pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        database.execute(statement)


def test_a_database_that_is_away_refuses_nothing_for_ever(new_governor: Callable[..., Asked]) -> None:
    """Nothing is taken that is not on the disk; the sender comes again with the same id."""
    governor = new_governor()
    governor.watch.kill("postgres")
    with pytest.raises(RetryableError, match="503"):
        governor_client.send(governor.person, Request(use_case=TINY, asked_by="a", reason="b"), "away", tries=1)
    governor.watch.start("postgres")
    assert governor.request("away").number == 1
    with pytest.raises(PermanentError, match="no event has that id"):
        governor.told("nobody")


def _database(governor: Asked) -> psycopg.Connection[Any]:
    secret = governor.watch.environment("governor")
    return psycopg.connect(
        secret["TIPHYS_GOVERNOR_DB_URL"], user=secret["TIPHYS_GOVERNOR_DB_USER"],
        password=secret["TIPHYS_GOVERNOR_DB_PASSWORD"], autocommit=True,
    )  # fmt: skip


def test_the_decisions_are_listed_and_counted(governor: Asked) -> None:
    """By use case and verdict, and as metrics."""
    governor.alert("listed", kind="quality")
    governor.decided("listed")
    found = governor.watch.ask("GET", "/v1/decisions?verdict=no&use_case=" + TINY)
    assert json.loads(found.data)["decisions"][0]["id"] == "listed"
    metrics = governor.watch.ask("GET", "/metrics").data.decode()
    assert 'tiphys_governor_events_received_total{sender="tester"}' in metrics
    assert f'tiphys_governor_decisions_total{{use_case="{TINY}",verdict="no"}}' in metrics
