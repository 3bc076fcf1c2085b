"""What serves is watched on real servers: live rows that Spark collected, the model in S3, the report in MLflow, alerts at the governor."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.model.conftest import boilings, publish_version
from tiphys.lake.s3 import S3
from tiphys.settings import GovernorSettings, S3Settings, TrackingSettings, load
from tiphys.tracking import Tracking
from tiphys.usecase import UseCase
from tiphys.watch import governor_client

if TYPE_CHECKING:
    from conftest import Shop

pytestmark = pytest.mark.e2e

TINY = "tests.usecases.tiny"
MONDAY = datetime(2026, 11, 2)  # noqa: DTZ001 - the tables' times have no zone: UTC
PACE = 130.0
"""Seconds a litre that the model says."""


def landed(shop: Shop, version: str, week: int, slower: float = 1.0, rows: int = 1400) -> None:
    """Land the log of a week of answers and outcomes, as the gateway does; truths are ``slower`` times what they were."""
    past = boilings(rows, 100 + week)
    answers, outcomes = [], []
    for at, (litres, celsius, seconds) in enumerate(
        zip(*(past[name].to_pylist() for name in ("litres", "celsius", "seconds")), strict=True)
    ):
        moment = MONDAY + timedelta(days=7 * week, seconds=int(7 * 86_400 * at / rows))
        identity = f"{week:016x}{at:016x}"
        answers.append({
            "prediction_id": identity, "at": _text(moment), "use_case": TINY, "arm": "production",
            "model_version": version, "source": "model", "asker": "rider", "latency_ms": 3.0,
            "features": {"litres": litres, "celsius": int(celsius)}, "value": litres * PACE, "low": None, "high": None,
        })  # fmt: skip
        outcomes.append({
            "prediction_id": identity, "at": _text(moment + timedelta(minutes=10)), "actual": seconds * slower,
            "asker": "auditor" if at % 20 == 0 else "rider", "received_at": _text(moment + timedelta(minutes=10)),
        })  # fmt: skip
    store = S3(load(S3Settings, shop.stack.environment("gateway")))
    for topic, lines in (("predictions", answers), ("feedback", outcomes)):
        content = gzip.compress("\n".join([*map(json.dumps, lines), ""]).encode(), mtime=0)
        store.put(f"s3://landing/{topic}/tiny/date=2026-11-20/week-{week}.ndjson.gz", content)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def told(folder: Path) -> dict[str, str]:
    """What the step said."""
    return {each.name: each.read_text() for each in (folder / "outputs").iterdir()}


def test_a_stable_week_is_quiet_and_slower_kettles_raise_an_alert_once(shop: Shop, tmp_path: Path) -> None:
    """First look: a reference is made, nothing is found. Then truths take half as long again: the error is alerted.

    The same look again sends the same alert, which the governor has already.
    """
    released = shop.put(shop.make(PACE))
    shop.ledger().wait_until_served(shop.release(released, "production"), 60)
    version = released.model_version.rpartition("/")[2]
    data = publish_version(shop.stack.environment("etl"), UseCase(TINY), boilings(4000, 5), "v-monitor")
    for week, slower in enumerate((1.0, 1.5)):
        landed(shop, version, week, slower)
    shop.step("collect_outcomes", tmp_path / "collected", use_case=TINY)
    until = (MONDAY + timedelta(days=7)).isoformat()
    shop.step("monitor", tmp_path / "a", use_case=TINY, dataset=data, until=until)
    first = told(tmp_path / "a")
    assert (first["verdict"], first["rows"], first["labelled"], first["alerts"]) == ("stable", "1400", "1400", "[]")

    later = (MONDAY + timedelta(days=14)).isoformat()
    shop.step("monitor", tmp_path / "b", use_case=TINY, dataset=data, until=later)
    second = told(tmp_path / "b")
    alerts = {(each["kind"], each["subject"]): each for each in json.loads(second["alerts"])}
    assert second["verdict"] == "drift"
    assert {("error", "all"), ("label", "truth")} <= alerts.keys()
    error = alerts["error", "all"]
    assert error["model_version"] == released.model_version
    assert error["labelled"] >= 200
    assert datetime.fromisoformat(error["window"]["from"]) >= MONDAY.replace(tzinfo=UTC) + timedelta(days=5)

    governor = load(GovernorSettings, shop.stack.environment("monitor"))
    taken = governor_client.event(governor, error["id"])
    assert (taken.kind, taken.subject, taken.sender) == ("error", "all", "monitor")
    tracking = Tracking(load(TrackingSettings, shop.stack.environment("monitor")))
    page = tracking.artifact(second["mlflow_run"], "drift.html").decode()
    assert "truths exceed the answers" in page
    metrics = (tmp_path / "b" / "artifacts" / "drift.prom").read_text()
    assert 'tiphys_drift_alarm{use_case="tests.usecases.tiny"' in metrics

    log, _ = shop.step("monitor", tmp_path / "c", use_case=TINY, dataset=data, until=later)
    again = told(tmp_path / "c")
    assert {each["id"] for each in json.loads(again["alerts"])} == {each["id"] for each in alerts.values()}
    assert "was sent before" in log

    silent = (MONDAY + timedelta(days=28)).isoformat()
    shop.step("monitor", tmp_path / "d", use_case=TINY, dataset=data, until=silent, send="false")
    last = told(tmp_path / "d")
    assert last["verdict"] == "drift"
    assert next((each["kind"], each["severity"]) for each in json.loads(last["alerts"])) == ("volume", "critical")


def test_without_a_model_in_production_or_an_empty_window_it_says_what_to_do(shop: Shop, tmp_path: Path) -> None:
    """Exit codes of data errors, no traceback."""
    log, _ = shop.step("monitor", tmp_path / "a", code=65, use_case="tests.usecases.pair")
    assert "serves no model of 'tests.usecases.pair'" in log
