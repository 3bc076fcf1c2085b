"""The work of ``monitor``: find the model and its reference, read the window, look, write it down, send alerts, keep the state."""

from __future__ import annotations

import json
import logging
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from components.monitor import prometheus, report
from components.monitor import rows as live_rows
from components.monitor.contract import CONTRACT, Inputs, Outputs
from components.monitor.reference import build
from components.monitor.store import Kept
from tiphys.errors import DataError, SettingsError
from tiphys.lake.s3 import S3
from tiphys.release.client import LedgerClient
from tiphys.serving import exported
from tiphys.settings import GovernorSettings, LedgerSettings, load
from tiphys.tracking import Tracking
from tiphys.usecase import UseCase
from tiphys.watch import governor_client
from tiphys.watch.alerts import Alert
from tiphys.watch.drift import findings
from tiphys.watch.drift.watch import look as look_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from components.monitor.rows import Asked
    from tiphys.serving.exported import Model
    from tiphys.step import Context
    from tiphys.watch.drift.reference import Reference
    from tiphys.watch.drift.summary import Window
    from tiphys.watch.drift.watch import Look

HOUR, DAY = 3600.0, 86_400.0

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Look at a window. Alerts go out before the state is kept: a run that is cut off sends the same ones again, with the same ids.

    Raises:
        DataError: no model, no dataset or no live rows to look at, or a window that ends before it begins.
        RetryableError: a server is away.
    """
    use_case, store = UseCase(inputs.use_case), S3()
    model = exported.find(inputs.use_case, inputs.model_version, store)
    dataset = inputs.dataset or _evaluated_on(inputs.use_case, model)
    kept = Kept(store, inputs.use_case, model.version.rpartition("/")[2])
    reference = kept.reference(dataset, model.manifest_sha256)
    if reference is None:
        reference = build(use_case, dataset, model)
        kept.keep_reference(reference)
    asked = _asked(inputs, reference, model)
    window = live_rows.window(use_case, asked)
    look = look_at(reference, window, kept.state(reference))
    outputs = _told(inputs, context, reference, window, look)
    kept.keep_state(reference, look.state)
    return outputs


def _evaluated_on(use_case: str, model: Model) -> str:
    """Dataset version that the ledger's evidence of that very repository names."""
    ledger = LedgerClient(load(LedgerSettings))
    found = ledger.evidence(use_case=use_case, manifest_sha256=model.manifest_sha256, kind="evaluation", limit=1)
    named = str(found[0].content.get("dataset", "")) if found else ""
    if not named:
        message = (
            f"the ledger has no evaluation of {model.version}, so nobody knows its data: name a version with dataset"
        )
        raise DataError(message)
    return named


def _asked(inputs: Inputs, reference: Reference, model: Model) -> Asked:
    predictions = inputs.predictions_snapshot or None
    until = _moment(inputs.until) if inputs.until else live_rows.own_now(inputs.use_case, predictions)
    since = _moment(inputs.since) if inputs.since else until - inputs.window_days * DAY
    since, until = math.floor(since / HOUR) * HOUR, math.ceil(until / HOUR) * HOUR  # sums are kept by hour
    if since >= until:
        message = f"the window from {findings.iso(since)} to {findings.iso(until)} is empty: since must be before until"
        raise DataError(message)
    return live_rows.Asked(
        inputs.use_case, since, until, model.version.rpartition("/")[2], predictions, inputs.labelled_snapshot or None,
        tuple(reference.about["slices"]),
    )  # fmt: skip


def _told(inputs: Inputs, context: Context, reference: Reference, window: Window, look: Look) -> Outputs:
    """Write page and metrics, record them in MLflow, send the alerts."""
    about = {**reference.about, "use_case": inputs.use_case}
    page, metrics = (context.artifact(file) for file in CONTRACT.artifacts().values())
    alerts = [findings.alert(each, about, window.since, window.until) for each in look.alarms]
    page.write_text(report.page(about, window, look, reference), encoding="utf-8")
    metrics.write_text(prometheus.text(look, about, window.until, time.time()), encoding="utf-8")
    mlflow_run = _recorded(inputs, context, window, look, page)
    alerts = [{**each, "report": mlflow_run} for each in alerts]
    if inputs.send:
        _send(alerts, metrics.read_text(encoding="utf-8"))
    summary = report.summary(look)
    log.info("%s: %s", look.verdict, summary)
    return Outputs(
        verdict=look.verdict,
        summary=summary,
        alerts=json.dumps([{"id": findings.identity(each), **each} for each in alerts]),
        rows=look.rows,
        labelled=look.labelled,
        since=findings.iso(window.since),
        until=findings.iso(window.until),
        mlflow_run=mlflow_run,
        report=page,
        metrics=metrics,
    )


def _recorded(inputs: Inputs, context: Context, window: Window, look: Look, page: Path) -> str:
    """One run of MLflow a window and version; a retry writes into the same."""
    tracking = Tracking()
    name = inputs.use_case.rpartition(".")[2]
    stretch = f"{findings.iso(window.since)} {findings.iso(window.until)}"
    tags = {"tiphys.monitor": stretch, "tiphys.run": context.run}
    found = tracking.find_run(f"{name}-monitor", tags)
    run = found or tracking.start_run(f"{name}-monitor", f"until {findings.iso(window.until)}", tags)
    tracking.log_metrics(
        run.id, {_metric(each): value for each, value in look.figures.items()}, at=int(window.until * 1000)
    )
    tracking.set_tags(run.id, {"tiphys.verdict": look.verdict, "tiphys.summary": report.summary(look)})
    tracking.log_artifact(run.id, "drift.html", page)
    tracking.end_run(run.id)
    return run.id


def _send(alerts: Sequence[dict[str, Any]], figures: str) -> None:
    """Alerts first: they decide something."""
    settings = load(GovernorSettings)
    if not settings.secret:
        message = "alerts and figures are to be sent, but TIPHYS_WEBHOOK_SECRET is not set: give the secret, or run with send=false"
        raise SettingsError(message)
    for each in alerts:
        reply = governor_client.send(settings, Alert.model_validate(each), findings.identity(each))
        log.info("%s %s: %s", each["kind"], each["subject"], "sent" if reply.is_new else "was sent before")
    governor_client.send_figures(settings, figures)


def _moment(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _metric(name: str) -> str:
    """MLflow takes letters, digits, blanks and a few signs."""
    return "".join(each if each.isalnum() or each in "_-. /" else "_" for each in name)
