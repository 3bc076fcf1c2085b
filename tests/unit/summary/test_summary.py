"""The run's summary fills the rows that the run got to, and no more."""

from __future__ import annotations

import json

import pytest

from components.summary.contract import Inputs
from components.summary.step import rows, table

pytestmark = pytest.mark.unit

DONE = {
    "status": "Succeeded",
    "duration": "151.3",
    "failures": "null",
    "use-case": "taxi_eta",
    "dataset": "taxi_eta.trips@v-1",
    "rows-in": "180000",
    "rows-kept": "175000",
    "rows-rejected": "5000",
    "metrics": json.dumps({"mae": 245.0, "status_quo.mae": 294.0, "lightgbm.mae": 239.0}),
    "verdict": "passed",
    "p50-ms": "3.1",
    "p95-ms": "7.9",
    "p99-ms": "12.0",
    "rate": "200",
    "errors": "0",
    "production": "models:/taxi_eta/1",
}


def failed(*nodes: tuple[str, str]) -> str:
    """``workflow.failures`` as Argo gives it: every failed node, in no order."""
    return json.dumps([
        {"displayName": name, "podName": f"r-{name}", "message": message, "finishedAt": f"2026-01-01T00:00:0{second}Z"}
        for second, (name, message) in enumerate(nodes)
    ][::-1])  # fmt: skip


def test_a_finished_run_shows_every_figure() -> None:
    """Data, quality against each baseline, load and what serves."""
    found = dict(rows(Inputs.model_validate(DONE)))
    assert found["rows"] == "175,000 kept, 5,000 quarantined"
    assert found["MAE"] == "245.0"
    assert found["  status quo"] == "294.0  (-16.7% against it)"
    assert found["under load"] == "p50 3.1 ms, p95 7.9 ms, p99 12.0 ms at 200 requests/s, 0 errors"
    assert found["production"] == "models:/taxi_eta/1"


def test_errors_on_newest_and_trusted_rows_are_no_baselines() -> None:
    """Though their figures are named alike."""
    metrics = {"mae": 245.0, "champion.mae": 300.0, "newest.mae": 245.0, "holdout.mae": 250.0}
    found = dict(rows(Inputs.model_validate({**DONE, "metrics": json.dumps(metrics)})))
    assert [name for name in found if name.startswith("  ")] == ["  champion"]


def test_figures_that_argo_left_as_tags_are_left_out() -> None:
    """A run that failed early has no figures, and says which step failed."""
    failures = failed(
        ("r", ""), ("etl(0)", "main: Error (exit code 75)"), ("etl(1)", "main: Error (exit code 65)"), ("etl", "no")
    )
    given = {
        **{name: f"{{{{workflow.outputs.parameters.x-{name}}}}}" for name in DONE},
        "status": "Failed",
        "duration": "3",
        "failures": failures,
        "use-case": "taxi_eta",
    }
    found = dict(rows(Inputs.model_validate(given)))
    assert found["failed step"] == "etl: main: Error (exit code 65)"
    assert "MAE" not in found
    assert found["production"] == "nothing new by this run"


def test_a_run_that_succeeded_shows_what_was_tried_again() -> None:
    """An attempt that failed is no failed step."""
    given = {**DONE, "failures": failed(("etl(0)", "main: Error (exit code 75)"))}
    found = dict(rows(Inputs.model_validate(given)))
    assert found["tried again"] == "etl: main: Error (exit code 75)"
    assert "failed step" not in found


def test_a_quick_run_says_what_it_found_done() -> None:
    """Months and training that were there explain the time."""
    given = {**DONE, "months": "18", "months-computed": "1", "train-reused": "true"}
    found = dict(rows(Inputs.model_validate(given)))
    assert found["found done"] == "17 of 18 months of data; the training: same data, settings and code"
    assert "found done" not in dict(rows(Inputs.model_validate(DONE)))


def test_columns_line_up() -> None:
    """The second column starts at one place."""
    lines = table([("a", "1"), ("longer", "2")]).splitlines()
    assert lines == ["a       1", "longer  2"]


def test_a_version_that_export_put_in_the_place_of_the_best_is_the_one_that_is_summed_up() -> None:
    """With its own figures, and with why the better one is not served."""
    candidates = [
        {"name": "lightgbm", "outcome": "passed, but export refused it: 9.7 MB"},
        {"name": "network", "outcome": "registered, because lightgbm could not be served"},
    ]
    instead = {
        "model-version": "models:/taxi_eta/3",
        "exported-version": "models:/taxi_eta/4",
        "exported-metrics": json.dumps({"mae": 250.0, "status_quo.mae": 294.0}),
        "candidates": json.dumps(candidates),
    }
    found = dict(rows(Inputs.model_validate({**DONE, **instead})))
    assert found["model version"] == "models:/taxi_eta/4"
    assert found["  lightgbm"] == "passed, but export refused it: 9.7 MB"
    assert found["MAE"] == "250.0"
