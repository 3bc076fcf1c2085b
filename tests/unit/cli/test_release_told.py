"""What `tiphys release` says: whole, and in lines that a person reads."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from tiphys.cli.release import list_
from tiphys.cli.release.telling import details, folded, show
from tiphys.release.records import EvidenceRecorded

pytestmark = pytest.mark.unit
LONG = "; ".join(f"reason {number} of many that a canary has" for number in range(9))


def found(content: dict[str, Any]) -> list[str]:
    """A canary's evidence with that content, in lines."""
    evidence = EvidenceRecorded(
        use_case="taxi_eta", model_version="models:/taxi_eta/1", manifest_sha256="0" * 64, kind="canary", held=True,
        content=content, number=5, made_at=datetime(2026, 11, 22, tzinfo=UTC),
    )  # fmt: skip
    return list(details(evidence))


def test_many_reasons_are_a_line_each_and_few_stay_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost, and what follows a name stands below it."""
    assert folded("passed; held") == ["passed; held"]
    assert "; ".join(folded(LONG)) == LONG
    show({"because": LONG, "passport": "", "by run": "r-1"})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 10
    assert printed[0] == f"  {'because':<16} reason 0 of many that a canary has"
    assert all(line.startswith(" " * 19 + "reason ") for line in printed[1:9])
    assert printed[9] == f"  {'by run':<16} r-1"


def test_a_measure_is_told_in_its_own_words_and_what_is_not_known_is_left_out() -> None:
    """The sentence of each measure behind its name; a variant by its name; no None and no empty text."""
    measure = {"measure": "late", "state": "within", "says": "late: +0.0% of 282", "mean": 0.0, "high": None}
    variant = {"name": "onnx-fp32", "reason": "", "loss": None, "p50_ms": 0.178}
    told = found({"verdict": "promote", "reasons": LONG, "measures": [measure], "variants": [variant]})
    assert told[:2] == ["verdict: promote: reason 0 of many that a canary has", "  reason 1 of many that a canary has"]
    assert "  within  late: late: +0.0% of 282" in told
    assert "  onnx-fp32: p50_ms 0.178" in told
    assert "None" not in "".join(told)


@pytest.mark.parametrize("where", ["terminal", "pipe"])
def test_a_long_reason_is_cut_on_a_terminal_and_whole_in_a_pipe(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for each release: a table that wraps is none."""
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: where == "terminal")
    event = {
        "made_at": "2026-11-22T09:13:55Z", "environment": "production", "generation": 1, "what": "release",
        "model_version": "models:/taxi_eta/1", "asked_by": "person", "run": "", "because": LONG,
    }  # fmt: skip
    list_.print_table([event])
    line = capsys.readouterr().out.splitlines()[1]
    assert line.endswith(LONG) is (where == "pipe")
    assert (len(line) == 140 and line.endswith("…")) is (where == "terminal")


def test_errors_on_newest_and_trusted_rows_are_told_as_such_and_losers_by_name() -> None:
    """They are no baselines, though their figures are named alike."""
    metrics = {
        "mae": 270.0, "status_quo.mae": 376.0, "champion.mae": 360.0, "newest.rows": 400.0, "newest.mae": 270.0,
        "newest.champion_mae": 360.0, "holdout.rows": 120.0, "holdout.mae": 280.0,
    }  # fmt: skip
    loser = {"name": "lightgbm", "mae": 275.0, "outcome": "passed, but network is better"}
    told = found({"metrics": metrics, "candidates": [loser]})
    assert [line.split()[1] for line in told if line.startswith("against")] == ["status", "champion"]
    assert "on 400 newest rows 270, the champion's 360 (-25.0 %)" in told
    assert "on 120 rows of the trusted holdout 280" in told
    assert "  lightgbm: mae 275, outcome passed, but network is better" in told
