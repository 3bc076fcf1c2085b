"""Lay out a run's figures as a table of plain text; knows no server."""

from __future__ import annotations

import json
from collections.abc import Iterator

from components.summary.contract import Inputs, Outputs
from tiphys.step import Context

Row = tuple[str, str]

_FAILURES_SHOWN = 3
_OTHER_ROWS = frozenset({"newest.mae", "holdout.mae"})
"""The model's own error on other rows: no baseline's."""


def run(inputs: Inputs, context: Context) -> Outputs:
    """Write the table and the record."""
    record = context.artifact("summary.json")
    record.write_text(inputs.model_dump_json(indent=2), encoding="utf-8")
    return Outputs(text=table(list(rows(inputs))), record=record)


def table(rows: list[Row]) -> str:
    """Two columns, the first as wide as its longest word."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def rows(inputs: Inputs) -> Iterator[Row]:
    """Every row that the run got far enough to fill."""
    yield "run", f"{inputs.status} after {inputs.duration:.0f} s"
    yield from _failures(inputs)
    if inputs.dataset:
        yield "data version", inputs.dataset
    if inputs.rows_kept is not None and inputs.rows_rejected is not None:
        yield "rows", f"{inputs.rows_kept:,} kept, {inputs.rows_rejected:,} quarantined"
    yield from _found(inputs)
    yield from _quality(inputs.exported_metrics or inputs.metrics or {})
    if inputs.verdict:
        yield "gate", inputs.verdict
    yield from _version(inputs)
    if inputs.image:
        yield "image", inputs.image
    if inputs.p95_ms is not None:
        yield "under load", _latency(inputs)
    if inputs.kind == "scoring":
        yield from _scored(inputs)
        return
    yield "staging", inputs.staging or "nothing new by this run"
    yield from _judged(inputs)
    yield "production", inputs.production or (f"{inputs.kept}, as before" if inputs.kept else "nothing new by this run")
    if inputs.passport:
        yield "passport", inputs.passport


def _version(inputs: Inputs) -> Iterator[Row]:
    """What was exported, and what was better and could not be."""
    if inputs.model_version:
        yield "model version", inputs.exported_version or inputs.model_version
    if inputs.exported_version and inputs.exported_version != inputs.model_version:
        for each in inputs.candidates or []:
            yield f"  {each['name']}".replace("_", " "), str(each["outcome"])


def _scored(inputs: Inputs) -> Iterator[Row]:
    """What batch scoring left."""
    if inputs.predictions is not None and inputs.rows_scored is not None:
        found = "" if inputs.scored_now else "; scored before, found again"
        yield "answers", f"{inputs.rows_scored:,} rows, {inputs.rows_rejected or 0:,} rejected{found}"
        yield "predictions", inputs.predictions


def _failures(inputs: Inputs) -> Iterator[Row]:
    """The last word of each step that failed; in a run that succeeded these are the attempts that were tried again."""
    try:
        found = json.loads(inputs.failures or "[]")
        found = json.loads(found) if isinstance(found, str) else found
    except json.JSONDecodeError:
        return
    said: dict[str, str] = {}
    for each in sorted(found or [], key=lambda each: str(each.get("finishedAt"))):
        name, attempt, _ = str(each.get("displayName")).partition("(")
        if each.get("message") and (attempt or name not in said):  # what a node says of its attempts is no news
            said[name] = each["message"]
    for name, message in list(said.items())[:_FAILURES_SHOWN]:
        yield ("tried again" if inputs.status == "Succeeded" else "failed step"), f"{name}: {message}"


def _found(inputs: Inputs) -> Iterator[Row]:
    """What was there already, which explains a quick run."""
    found = []
    if inputs.months and inputs.months_computed is not None and inputs.months_computed < inputs.months:
        found.append(f"{inputs.months - inputs.months_computed} of {inputs.months} months of data")
    if inputs.train_reused:
        found.append("the training: same data, settings and code")
    if found:
        yield "found done", "; ".join(found)


def _quality(metrics: dict[str, object]) -> Iterator[Row]:
    """One row for every ``NAME.mae`` beside the model's own ``mae``."""
    mae = metrics.get("mae")
    if not isinstance(mae, float | int):
        return
    yield "MAE", f"{mae:.1f}"
    for name, value in metrics.items():
        if (
            name.endswith(".mae")
            and name.count(".") == 1
            and name not in _OTHER_ROWS
            and isinstance(value, float | int)
        ):
            yield f"  {name[:-4].replace('_', ' ')}", f"{value:.1f}  ({(mae - value) / value:+.1%} against it)"


def _judged(inputs: Inputs) -> Iterator[Row]:
    """What riders and the judge said."""
    if inputs.canary:
        asked = f" after {inputs.canary_answers:,} questions" if inputs.canary_answers else ""
        yield "canary", f"{inputs.canary.replace('_', ' ')}{asked}"
    if inputs.judgement:
        why = f": {inputs.canary_reasons}" if inputs.judgement != "promote" and inputs.canary_reasons else ""
        yield "judgement", f"{inputs.judgement}{why}"


def _latency(inputs: Inputs) -> str:
    return (
        f"p50 {inputs.p50_ms:.1f} ms, p95 {inputs.p95_ms:.1f} ms, p99 {inputs.p99_ms:.1f} ms "
        f"at {inputs.rate:.0f} requests/s, {inputs.errors} errors"
    )
