"""What serves is watched on real servers: live rows in Iceberg, the model in S3, the report in MLflow, alerts at the governor."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import urllib3

from tests.e2e.model.conftest import boilings, publish_version
from tests.usecases.pair.pieces import pieces
from tiphys.lake import live, live_tables
from tiphys.lake.catalog import Lake
from tiphys.serving.repository import build_ensemble
from tiphys.settings import CatalogSettings, GovernorSettings, S3Settings, TrackingSettings, load
from tiphys.tracking import Tracking
from tiphys.usecase import UseCase
from tiphys.watch import governor_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Shop
    from pyiceberg.catalog.sql import SqlCatalog

pytestmark = pytest.mark.e2e

TINY = "tests.usecases.tiny"
MONDAY = datetime(2026, 11, 2)  # noqa: DTZ001 - the tables' times have no zone: UTC
PACE = 130.0
"""Seconds a litre that the model says."""


@pytest.fixture
def catalog(shop: Shop) -> Iterator[SqlCatalog]:
    """A catalog without live tables of kettles: not those of another test, and none for the next."""
    environment = shop.stack.environment("collect_outcomes")
    found = Lake(load(CatalogSettings, environment), load(S3Settings, environment)).writer()
    found.create_namespace_if_not_exists(live.namespace(TINY))
    drop_live(found)
    yield found
    drop_live(found)


def drop_live(catalog: SqlCatalog) -> None:
    """Drop all live tables of kettles."""
    for table in catalog.list_tables(live.namespace(TINY)):
        catalog.drop_table(table)


def collected(catalog: SqlCatalog, version: str, week: int, slower: float = 1.0, rows: int = 1400) -> None:
    """Put a week of live rows into the lake, in the tables of collect_outcomes; truths are ``slower`` times what they were.

    The tables are made without partitions, which whoever reads does not see: PyIceberg alone cannot fill those by day.
    """
    past = boilings(rows, 100 + week)
    moment = [MONDAY + timedelta(days=7 * week, seconds=7 * 86_400 * at / rows) for at in range(rows)]
    litres = past["litres"].to_numpy().astype(np.float32).astype(float)
    features = [
        {"litres": float(a), "celsius": int(b)} for a, b in zip(litres, past["celsius"].to_pylist(), strict=True)
    ]
    columns: dict[str, Any] = {
        "prediction_id": [f"{week:016x}{at:016x}" for at in range(rows)], "at": moment, "moment": moment,
        "known_at": moment, "arm": ["production"] * rows, "model_version": [version] * rows, "source": ["model"] * rows,
        "asker": ["rider"] * rows, "latency_ms": [3.0] * rows, "features": features, "value": litres * PACE,
        "shadow": [False] * rows, "actual": past["seconds"].to_numpy() * slower, "outcome_asker": ["rider"] * rows,
        "trusted": [at % 20 == 0 for at in range(rows)], "doubtful": [""] * rows, "origin": ["test"] * rows,
        "line": list(range(rows)),
    }  # fmt: skip
    names: tuple[live.Name, ...] = ("predictions", "labelled", "outcomes_quarantine")
    for name in names:
        schema = live_tables._schema(live_tables.COLUMNS[name], UseCase(TINY).features)
        table = catalog.create_table_if_not_exists((live.namespace(TINY), name), schema)
        if name == "outcomes_quarantine":  # nothing was refused
            continue
        types = {each.name: live.arrow_type(each.field_type) for each in table.schema().fields}
        arrays = [
            pa.array(columns[key], kind) if key in columns else pa.nulls(rows, kind) for key, kind in types.items()
        ]
        table.append(pa.Table.from_arrays(arrays, names=list(types)))


def told(folder: Path) -> dict[str, str]:
    """What the step said."""
    return {each.name: each.read_text() for each in (folder / "outputs").iterdir()}


def test_a_stable_week_is_quiet_and_slower_kettles_raise_an_alert_once(
    shop: Shop, catalog: SqlCatalog, tmp_path: Path
) -> None:
    """First look: a reference is made, nothing is found. Then truths take half as long again: the error is alerted.

    The same look again sends the same alert, which the governor has already.
    """
    released = shop.put(shop.make(PACE))
    shop.ledger().wait_until_served(shop.release(released, "production"), 60)
    version = released.model_version.rpartition("/")[2]
    data = publish_version(shop.stack.environment("etl"), UseCase(TINY), boilings(4000, 5), "v-monitor")
    collected(catalog, version, 0)
    until = (MONDAY + timedelta(days=7)).isoformat()
    shop.step("monitor", tmp_path / "a", use_case=TINY, dataset=data, until=until)
    first = told(tmp_path / "a")
    assert (first["verdict"], first["rows"], first["labelled"], first["alerts"]) == ("stable", "1400", "1400", "[]")

    collected(catalog, version, 1, slower=1.5)
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

    scraped = urllib3.request("GET", governor.url + "/metrics/drift").data.decode()
    assert 'tiphys_drift_alarm{use_case="tests.usecases.tiny"' in scraped

    log, _ = shop.step("monitor", tmp_path / "c", use_case=TINY, dataset=data, until=later)
    again = told(tmp_path / "c")
    assert {each["id"] for each in json.loads(again["alerts"])} == {each["id"] for each in alerts.values()}
    assert "was sent before" in log

    silent = (MONDAY + timedelta(days=28)).isoformat()
    shop.step("monitor", tmp_path / "d", use_case=TINY, dataset=data, until=silent, send="false")
    last = told(tmp_path / "d")
    assert last["verdict"] == "drift"
    assert next((each["kind"], each["severity"]) for each in json.loads(last["alerts"])) == ("volume", "critical")


def test_several_models_that_answer_as_one_are_watched_as_one(shop: Shop, catalog: SqlCatalog, tmp_path: Path) -> None:
    """The reference is made of the answers that they give one after the other."""
    shop.number += 1
    version = str(shop.number)
    reference = {"litres": [1.0], "celsius": [20], "seconds": [181.0], "seconds_low": [176.0], "seconds_high": [186.0]}
    released = shop.put(build_ensemble(UseCase(TINY), version, pieces(), reference))
    shop.ledger().wait_until_served(shop.release(released, "production"), 60)
    data = publish_version(shop.stack.environment("etl"), UseCase(TINY), boilings(4000, 5), "v-ensemble")
    collected(catalog, version, 8)
    until = (MONDAY + timedelta(days=63)).isoformat()
    log, _ = shop.step("monitor", tmp_path / "a", use_case=TINY, dataset=data, until=until, send="false")
    assert "reference of tiny.boilings@v-ensemble" in log
    assert told(tmp_path / "a")["labelled"] == "1400"


def test_without_a_model_in_production_or_an_empty_window_it_says_what_to_do(shop: Shop, tmp_path: Path) -> None:
    """Exit codes of data errors, no traceback."""
    log, _ = shop.step("monitor", tmp_path / "a", code=65, use_case="taxi_eta")
    assert "serves no model of 'taxi_eta'" in log
