"""Going back: through the ledger, and at the agent while all else is away; and what may happen in between."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3

from tiphys.errors import TiphysError

pytestmark = pytest.mark.e2e

TINY = "tests.usecases.tiny"
Eventually = Callable[..., None]
ALL = ("postgres", "ledger", "s3", "mlflow")


def two(shop: Any, eventually: Eventually, factor: float) -> tuple[str, str]:
    """Production serves one version and has the one before beside it; answers with both, the older first."""
    older = shop.serve(factor, "production").version
    newer = shop.serve(factor + 1, "production").version
    eventually(lambda: shop.page("production").get("loaded") == [newer, older])
    return older, newer


@contextmanager
def questions(shop: Any) -> Iterator[list[str]]:
    """Ask production, without a pause, with the version that its agent's page names; collects what went wrong."""
    wrong: list[str] = []
    asked: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            version = shop.page("production")["version"]
            try:
                shop.triton("production", version)
                asked.append(version)
            except TiphysError as error:
                wrong.append(f"version {version}: {error}")

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for each in asking:
        each.start()
    try:
        yield wrong
    finally:
        done.set()
        for each in asking:
            each.join()
    assert len(set(asked)) > 1, "the versions were never switched"


def test_a_promotion_and_a_rollback_lose_no_question(shop: Any, eventually: Eventually) -> None:
    """Both versions are ready when the page switches, so nobody who follows it is turned away."""
    older, newer = two(shop, eventually, 50.0)
    with questions(shop) as wrong:
        latest = shop.serve(52.0, "production").version
        assert shop.page("production")["version"] == latest
        assert "went back from" in shop.cli("release", "rollback", "production", "tiny")
        assert shop.page("production")["version"] == newer
    assert wrong == []
    assert shop.triton("production", newer) == 102.0
    told = shop.ledger().history("production", use_case=TINY)[0]
    assert (told.kind, told.number) == ("rollback", newer)
    assert int(older) < int(newer) < int(latest)


def test_two_rollbacks_go_two_releases_back(shop: Any, eventually: Eventually) -> None:
    """Not to and fro; after the first, what is two back is made ready beside."""
    first = shop.serve(53.0, "production").version
    two(shop, eventually, 54.0)
    for _ in range(2):
        shop.cli("release", "rollback", "production", "tiny")
    assert shop.page("production")["version"] == first
    assert shop.triton("production", first) == 106.0


def test_a_rollback_needs_nothing_but_the_agent(shop: Any, eventually: Eventually) -> None:
    """PostgreSQL, ledger, S3 and MLflow hang: the agent goes back, and tells the ledger when that is there again."""
    older, newer = two(shop, eventually, 56.0)
    generation = shop.ledger().current("production").generation
    with shop.without(*ALL):
        said = json.loads(
            shop.cli("release", "rollback", "production", "tiny", "--reason", "kettles explode", "--json")
        )
        assert (said["left"], said["serves"]) == (f"models:/tiny/{newer}", f"models:/tiny/{older}")
        assert said["through"] == "the agent of production"
        assert shop.page("production")["version"] == older
        assert shop.triton("production", older) == 112.0

    def is_written() -> bool:
        newest = shop.ledger().history("production", use_case=TINY)[0]
        return newest.generation > generation and newest.kind == "rollback"

    eventually(is_written)
    newest = shop.ledger().history("production", use_case=TINY)[0]
    assert (newest.number, newest.run, newest.reason) == (older, "at the agent", "kettles explode")
    assert "at the command line" in newest.asked_by
    shop.ledger().wait_until_served(newest, 30)
    assert shop.page("production")["generation"] == newest.generation


def test_a_rollback_at_the_agent_outlives_agent_and_triton(shop: Any, eventually: Eventually) -> None:
    """Both are killed while the ledger is away: what comes back is what was gone back to."""
    older, _ = two(shop, eventually, 58.0)
    with shop.without(*ALL):
        shop.cli("release", "rollback", "production", "tiny")
        shop.kill("agent-production", signal.SIGKILL)
        shop.kill("triton-production", signal.SIGKILL)

        def is_back() -> bool:
            try:
                page = shop.page("production")
            except TiphysError:
                return False
            return (page.get("version"), page.get("loaded", [])[:1]) == (older, [older])

        eventually(is_back)
        assert shop.triton("production", older) == 116.0
    eventually(lambda: shop.ledger().history("production", use_case=TINY)[0].kind == "rollback")


def test_a_release_made_after_a_rollback_at_the_agent_is_followed(shop: Any, eventually: Eventually) -> None:
    """The ledger moved on while the agent could not hear it: the newer word counts."""
    _, newer = two(shop, eventually, 60.0)
    release = shop.certified(shop.put(shop.make(62.0)))
    with shop.without("agent-production"):
        recorded = shop.release(release, "production")
        shop.kill("agent-production", signal.SIGKILL)
    shop.ledger().wait_until_served(recorded, 60)
    with shop.without("ledger"):
        shop.cli("release", "rollback", "production", "tiny")
        assert shop.page("production")["version"] == newer
    eventually(lambda: shop.ledger().current("production").releases[TINY].kind == "rollback")
    latest = shop.serve(63.0, "production")
    assert shop.page("production")["version"] == latest.version


def test_a_rollback_takes_the_canarys_traffic_away(shop: Any, eventually: Eventually) -> None:
    """Through the ledger it is withdrawn; at the agents its share is gone at once, and the ledger learns of it."""
    canary = shop.put(shop.make(66.0))
    until = datetime.now(UTC) + timedelta(hours=1)

    def with_traffic(run: str) -> None:
        recorded = shop.release(canary.model_copy(update={"share": 0.2, "until": until, "run": run}), "canary")
        shop.ledger().wait_until_served(recorded, 60)
        assert shop.page("canary")["share"] == 0.2
        assert shop.page("canary")["until"] is not None

    two(shop, eventually, 64.0)
    with_traffic("one")
    assert "gets no traffic any more" in shop.cli("release", "rollback", "production", "tiny")
    eventually(lambda: shop.page("canary")["share"] == 0.0)
    assert shop.ledger().current("canary").releases[TINY].kind == "withdrawal"
    shop.serve(65.0, "production")
    with_traffic("two")
    with shop.without(*ALL):
        assert "gets no traffic any more" in shop.cli("release", "rollback", "production", "tiny")
        assert shop.page("canary")["share"] == 0.0
    eventually(lambda: shop.ledger().current("canary").releases[TINY].kind == "withdrawal")
    with_traffic("three")
    assert "no traffic" in shop.cli("release", "rollback", "canary", "tiny")
    assert "nothing to take back" in shop.cli("release", "rollback", "canary", "tiny", code=65)


def test_what_has_nothing_before_it_stays(shop: Any) -> None:
    """The message says so, through the ledger and at the agent."""
    ledger = shop.ledger()
    ledger.release_over(
        ledger.current("staging"), shop.put(shop.make(67.0)).model_copy(update={"use_case": "tests.usecases.alone"})
    )
    assert "nothing to go back to" in shop.cli("release", "rollback", "staging", "alone", code=65)
    assert "no use case 'nobody'" in shop.cli("release", "rollback", "staging", "nobody", code=65)


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_strangers_and_nonsense_move_no_agent(shop: Any, http: urllib3.PoolManager, environment: str) -> None:
    """Only this agent's own token opens it, no other server's, and only a well-formed wish is obeyed."""
    token = shop.stack.secrets[f"agent_{environment}"]["TIPHYS_ADMIN_TOKEN"]
    others = [shop.stack.secrets[name]["TIPHYS_ADMIN_TOKEN"] for name in ("agent_canary", "gateway", "canary")]
    url = f"http://{shop.stack.config[f'TIPHYS_{environment.upper()}_AGENT']}/v1/rollback"
    before = shop.page(environment)
    good = b'{"model": "tiny", "asked_by": "x"}'
    for authorization, body, status in (
        ("", good, 401),
        ("Bearer", good, 401),
        ("Bearer made-up", good, 401),
        *((f"Bearer {each}", good, 401) for each in others),
        (f"Bearer {token}x", good, 401),
        (f"Basic {token}", good, 401),
        (f"Bearer {token}", b"{", 422),
        (f"Bearer {token}", b'{"model": "tiny"}', 422),
        (f"Bearer {token}", b'{"model": "tiny", "asked_by": "x", "image": "y"}', 422),
        (f"Bearer {token}", b'{"model": "../../etc", "asked_by": "x"}', 422),
        (f"Bearer {token}", b'{"model": "nobody", "asked_by": "x"}', 409),
        (f"Bearer {token}", b'{"model": "tiny", "asked_by": "x", "leaving": 999999}', 409),
        (f"Bearer {token}", b" " * 5000, 413),
    ):
        headers = {"Authorization": authorization}
        assert http.request("POST", url, headers=headers, body=body).status == status, (authorization, body)
    assert http.request("GET", url).status == 404
    assert shop.page(environment) == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/serving?after=x", 422),
        ("/v1/serving?after=1&wait=-5", 200),
        ("/v1/files/tiny/fallback.npz", 404),
        ("/v1/files/tiny/../../serving.json", 404),
        ("/v1/files/tiny/reference.json", 404),
        ("/v1/files/nobody/fallback.npz", 404),
        ("/etc/passwd", 404),
    ],
)
def test_an_agent_shows_its_page_and_one_file(shop: Any, http: urllib3.PoolManager, path: str, status: int) -> None:
    """Nothing else of its disk."""
    reply = http.request("GET", f"http://{shop.stack.config['TIPHYS_PRODUCTION_AGENT']}{path}")
    assert reply.status == status
    assert json.loads(reply.data)


def test_who_waits_for_the_page_is_told_at_once(shop: Any, http: urllib3.PoolManager) -> None:
    """The long poll ends with the change; a number of another life of the agent is answered at once."""
    shop.serve(68.0)
    url = f"http://{shop.stack.config['TIPHYS_STAGING_AGENT']}/v1/serving"
    now = json.loads(http.request("GET", url).data)
    found: list[dict[str, Any]] = []

    def wait() -> None:
        found.append(json.loads(http.request("GET", f"{url}?after={now['number']}&wait=20", timeout=30.0).data))

    waiting = threading.Thread(target=wait)
    waiting.start()
    latest = shop.serve(69.0)
    waiting.join()
    assert found[0]["number"] > now["number"]
    assert found[0]["started"] == now["started"]
    assert found[0]["models"]["tiny"]["version"] == latest.version
    assert found[0]["models"]["tiny"]["inputs"] == {"litres": "float32", "celsius": "int64"}
    assert found[0]["models"]["tiny"]["outputs"] == ["seconds"]
    assert json.loads(http.request("GET", f"{url}?after=100000&wait=20", timeout=5.0).data)["number"] < 100000
