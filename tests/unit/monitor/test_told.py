"""What monitor writes for others: Prometheus' text, the page, dashboards and rules, each as its reader wants it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.monitor import prometheus, report, rows
from tests.unit.drift.conftest import MONDAY, reference_of, world
from tiphys.usecase import UseCase
from tiphys.watch import dashboards
from tiphys.watch.alerts import Alert
from tiphys.watch.drift import findings
from tiphys.watch.drift.findings import Check
from tiphys.watch.drift.sketch import DAY
from tiphys.watch.drift.summary import Window
from tiphys.watch.drift.watch import Look, State, look

pytestmark = pytest.mark.unit

REFERENCE = reference_of(world(MONDAY, 28, 1))


def looked(window: Window) -> Look:
    """A first look."""
    return look(REFERENCE, window, State.new(REFERENCE))


def test_metrics_are_in_the_text_format_and_none_is_unknown_to_the_dashboard() -> None:
    """Every name that a dashboard or a rule asks for is written; labels are escaped."""
    found = looked(world(MONDAY + 28 * DAY, 7, 2))
    text = prometheus.text(found, {"use_case": 'a"b', "model_version": "models:/city/1"}, 1.0, 2.0)
    line = re.compile(r'(# (HELP|TYPE) \w+ .+|\w+\{\w+="([^"\\]|\\.)*"(,\w+="([^"\\]|\\.)*")*\} [-+.e\d]+)')
    assert all(line.fullmatch(each) for each in text.splitlines())
    asked = set(re.findall(r"tiphys_drift_\w+", "".join(dashboards.files().values())))
    assert asked <= {each.split()[2] for each in text.splitlines() if each.startswith("# TYPE")}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's package prometheus is not installed")
def test_prometheus_and_alertmanager_take_our_files(tmp_path: Path) -> None:
    """Promtool and amtool read the rules, the metrics and the example."""
    for name, text in dashboards.files().items():
        (tmp_path / Path(name).name).write_text(text)
    found = looked(world(MONDAY + 28 * DAY, 7, 2))
    metrics = prometheus.text(found, {"use_case": "city", "model_version": "1"}, 1.0, 2.0)
    checks = (
        (["promtool", "check", "rules", str(tmp_path / "drift-rules.yaml")], ""),
        (["promtool", "check", "metrics"], metrics),
        (["promtool", "check", "config", str(tmp_path / "prometheus.example.yaml")], ""),
        (["amtool", "check-config", str(tmp_path / "alertmanager.example.yaml")], ""),
    )
    for command, given in checks:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_of_any_look_is_whole_and_shows_no_markup_of_others() -> None:
    """Full, empty, and with a name that is HTML."""
    full = world(MONDAY + 28 * DAY, 7, 2)
    none = np.zeros(len(full.moment), bool)
    empty = Window(
        full.since, full.until, full.moment[none], {name: each[none] for name, each in full.columns.items()},
        full.value[none], full.low[none], full.high[none], full.labelled.where(none), full.ours[none],
    )  # fmt: skip
    for window in (full, empty):
        page = report.page({**REFERENCE.about, "use_case": "<script>"}, window, looked(window), REFERENCE)
        assert page.endswith("</main></body></html>\n")
        assert "<script" not in page
        assert "nan" not in re.sub(r"<style>.*?</style>", "", page).lower().replace("finance", "")
    assert "not enough" in report.page(REFERENCE.about, empty, looked(empty), REFERENCE)


def test_every_alert_fits_the_governors_schema_whatever_was_found() -> None:
    """Figures that are no numbers, and long names."""
    for value in (1.0, float("nan"), float("inf")):
        check = Check("error", "all:shorter", "alarm", value, 4.5, "truths fall short", "critical", 7, MONDAY)
        event = findings.alert(
            check, {"use_case": "taxi_eta", "model_version": "models:/taxi_eta/3"}, MONDAY, MONDAY + DAY, "a" * 32
        )
        parsed = Alert.model_validate(event)
        assert parsed.window is not None
        assert parsed.window.from_ < parsed.window.to
        assert json.loads(parsed.model_dump_json())["window"]["from"]


def test_live_tables_become_a_window_and_strangers_rows_do_not_count(tmp_path: Path) -> None:
    """Shadow answers are left out; other versions' answers and doubtful truths count for no error; a missing feature is NaN."""
    tiny = UseCase("tests.usecases.tiny")
    features = [
        {"litres": 1.0, "celsius": 20},
        {"litres": None, "celsius": 30},
        {"litres": 1.5, "celsius": 10},
        {"litres": 1.6, "celsius": 5},
    ]
    struct = pa.struct([("litres", pa.float64()), ("celsius", pa.int64())])
    common = {
        "moment": pa.array([0, 1, 2, 3], pa.int64()).cast(pa.timestamp("s")).cast(pa.timestamp("us")),
        "features": pa.array(features, struct),
        "value": pa.array([1.0, 2.0, 3.0, 4.0]),
        "low": pa.nulls(4, pa.float64()),
        "high": pa.nulls(4, pa.float64()),
        "model_version": pa.array(["3", "3", "2", "3"]),
        "source": pa.array(["model", "model", "model", "status_quo"]),
    }
    answered = pa.table({**common, "at": common["moment"], "shadow": pa.array([False, None, False, True])})
    labelled = pa.table({
        **common, "actual": pa.array([5.0, 6.0, 7.0, 8.0]), "trusted": pa.array([True, None, True, True]),
        "doubtful": pa.array(["", "contradicted", "", None]),
    })  # fmt: skip
    asked = rows.Asked("tiny", 0.0, 10.0, "3", slices=("full",))
    window = rows.of_tables(tiny, answered, labelled, asked)
    assert window.ours.tolist() == [True, True, False]
    assert window.moment.tolist() == [0.0, 1.0, 2.0]
    assert np.isnan(window.columns["litres"][1])
    assert window.columns["slice full"].tolist() == [0.0, 0.0, 1.0]
    assert window.labelled.actual.tolist() == [5.0]
    assert window.labelled.masks["trusted"].tolist() == [True]
