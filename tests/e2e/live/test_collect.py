"""From the gateway's log to labelled rows, on a real stack: every line is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.e2e.lake.conftest import Steps
from tests.e2e.live.conftest import Log
from tiphys.lake import live
from tiphys.lake.catalog import Lake

pytestmark = pytest.mark.e2e


def classes(lake: Lake, log: Log) -> Counter[str]:
    """Reports of a log by their class."""
    mine = log.identity(0)[:16]
    refused = live.read("taxi_eta", "outcomes_quarantine", columns=["prediction_id", "reason", "origin"], lake=lake)
    reasons = [row["reason"] for row in refused.to_pylist() if log.name in row["origin"]]
    standing = live.read("taxi_eta", "labelled", columns=["prediction_id"], lake=lake)["prediction_id"].to_pylist()
    return Counter(reasons) + Counter({"labelled": sum(each.startswith(mine) for each in standing)})


def test_every_report_ends_in_one_class_and_nothing_is_taken_twice(
    steps: Steps, new_log: Callable[[str], Log], lake: Lake
) -> None:
    """Each rule once; then late and contradictory reports, a flood of false ones, the same objects again; then no checkpoint."""
    log = new_log("judged")
    answers = [log.answer(n) for n in range(10)]
    shadow = log.answer(0, shadow=True, arm="canary", value=1.0)
    log.land("predictions", "1", [*answers[:6], shadow, b"no json", b'{"prediction_id": 1}'])
    reports = [
        log.outcome(0),
        log.outcome(0),
        log.outcome(1),
        log.outcome(1, 900.0),
        log.outcome(2, asker="stranger"),
        log.outcome(3, 5.0),
        log.outcome(4, at="2019-07-01T08:04:30Z"),
        log.outcome(5, asker="auditor"),
        log.outcome(8),
        log.outcome(99, received_at="2026-11-19T00:00:00Z"),
        b'{"prediction_id": "x", "actual": 600}',
    ]
    log.land("feedback", "1", reports)
    log.land_bytes("feedback", "2", b"this is no gzip")
    done = collect(steps)
    assert classes(lake, log) == {
        "labelled": 3, "duplicate": 1, "contradictory": 1, "not the asker": 1, "impossible": 1, "untimely": 1,
        "no prediction_id": 1, "the object is no gzip file": 1,
    }  # fmt: skip
    assert int(done["broken"]) >= 4
    assert marks(lake, log) == {0: "", 1: "contradicted", 5: ""}
    assert holdout(lake, log) == [5]

    log.land("predictions", "1", [*answers[:6], shadow, b"no json", b'{"prediction_id": 1}'])
    log.land("predictions", "2", answers[6:])
    liars, audited = range(100, 140), range(200, 240)
    log.land("predictions", "3", [log.answer(n, asker="liar" if n in liars else "rider") for n in (*liars, *audited)])
    flood = [
        *(log.outcome(n, 3000.0, asker="liar") for n in liars),
        *(log.outcome(n, asker="auditor") for n in audited),
    ]
    log.land("feedback", "3", [log.outcome(0, 900.0), log.outcome(7, at="2019-07-03T00:00:00Z"), *flood])
    done = collect(steps)
    assert (done["new_predictions"], done["new_outcomes"]) == ("84", "82")
    assert classes(lake, log)["labelled"] == 5 + 80
    assert classes(lake, log)["contradictory"] == 2
    doubts = marks(lake, log)
    assert {n: doubts[n] for n in range(10) if n in doubts} == {
        0: "contradicted",
        1: "contradicted",
        5: "",
        7: "",
        8: "",
    }
    assert all(doubts[n].startswith("asker liar: ") for n in liars)
    assert not any(doubts[n] for n in audited)
    before = done
    for each in lake.store.list("s3://checkpoints/taxi_eta/live/"):
        lake.store.delete(each.uri)
    done = collect(steps, unknown_after_s="0")
    assert (done["new_predictions"], done["new_outcomes"]) == ("0", "0")
    assert classes(lake, log)["unknown"] == 1
    assert done["live_source"] == before["live_source"]
    assert training_files(lake, done) == ["live-2019-07.csv"]

    again = steps.run("collect_outcomes", unknown_after_s="0")
    assert "nothing has landed since the last run" in again.log
    assert {name: again.outputs[name] for name in done if name != "review"} == {
        name: done[name] for name in done if name != "review"
    }
    lake.store.put("s3://checkpoints/taxi_eta/live/state.json", b'{"seen": "?", "state": ')
    log.land("feedback", "4", [log.outcome(6)])
    done = collect(steps, unknown_after_s="0")
    assert (done["new_predictions"], done["new_outcomes"]) == ("0", "1")


def collect(steps: Steps, **inputs: str) -> dict[str, str]:
    """Run the step."""
    done = steps.run("collect_outcomes", **{"unknown_after_s": "1e9", **inputs})
    assert done.code == 0, done.log
    return done.outputs


def marks(lake: Lake, log: Log) -> dict[int, str]:
    """Number of each labelled answer of a log -> why it is doubtful."""
    rows = live.read("taxi_eta", "labelled", columns=["prediction_id", "doubtful"], lake=lake).to_pylist()
    mine = [row for row in rows if row["prediction_id"].startswith(log.identity(0)[:16])]
    return {int(row["prediction_id"][16:], 16): row["doubtful"] for row in mine}


def holdout(lake: Lake, log: Log) -> list[int]:
    """Numbers of the trusted answers of a log."""
    rows = live.read("taxi_eta", "labelled", columns=["prediction_id", "trusted"], lake=lake).to_pylist()
    mine = [row for row in rows if row["trusted"] and row["prediction_id"].startswith(log.identity(0)[:16])]
    return [int(row["prediction_id"][16:], 16) for row in mine]


def training_files(lake: Lake, told: dict[str, str]) -> list[str]:
    """Names of the files that were exported."""
    return [each.name for each in lake.store.list(told["live_source"])]
