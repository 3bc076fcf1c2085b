"""Events that the governor decides, in words: one line each, or the story of one."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiphys.watch.governor_client import Told

HEADINGS = ("ID", "AGE", "FROM", "WHAT", "DECISION", "RUN", "WHY")
_SHORT = 12
_VERBS = {"yes": "retrained because", "no": "not retrained because", "wait": "not decided yet:"}


def what(told: Told) -> str:
    """What it is about: ``taxi_eta: error of zone 132``, ``taxi_eta: asked for``."""
    use_case = told.use_case.rpartition(".")[2]
    return f"{use_case}: {told.kind} of {told.subject}" if told.kind else f"{use_case}: asked for"


def verdict(told: Told) -> str:
    """The decision as a sentence."""
    return f"{_VERBS[told.verdict]} {told.reason}"


def table(found: list[Told]) -> None:
    """One line an event; on a terminal the reason is cut at its edge."""
    from tiphys.engine import ages

    now = time.time()
    rows = [HEADINGS]
    for told in found:
        age = ages.short(now - told.received_at)
        rows.append((told.id[:_SHORT], age, told.sender, what(told), told.verdict, told.run or "-", told.reason))
    widths = [max(len(row[column]) for row in rows) + 3 for column in range(len(HEADINGS) - 1)]
    edge = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for row in rows:
        line = "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[-1]
        print(line if len(line) <= edge else line[: edge - 1] + "…")


def story(told: Told) -> Iterator[str]:
    """What came, what was counted against it, what was decided, what ran; a line each."""
    from tiphys.engine import ages

    now = time.time()
    yield f"{told.id}  {what(told)}"
    severity = f", {told.severity}" if told.severity else ""
    yield _row("came", f"{ages.timestamp(told.received_at, now)}, from {told.sender} by {told.source}{severity}")
    yield from (_row(name, value) for name, value in _said(told))
    if told.kind:
        yield _row("fingerprint", f"{told.use_case}, {told.kind}, {told.subject}")
    yield from (_row("" if number else "counted", line) for number, line in enumerate(_counted(told.counted)))
    if told.verdict != "wait":
        yield _row("decided", f"{told.verdict}, {ages.short(told.decided_at - told.received_at)} after it came")
    yield _row("because" if told.verdict != "wait" else "waits", told.reason)
    if told.run:
        yield _row("training", f"{told.run}: {told.run_phase}")


def _said(told: Told) -> Iterator[tuple[str, str]]:
    body = told.body
    if told.text:
        yield "says", told.text
    if body.get("value") is not None:
        limit = f", threshold {body['threshold']:g}" if body.get("threshold") is not None else ""
        yield "value", f"{body['value']:g}{limit}"
    if body.get("window"):
        yield "window", f"{body['window']['from']} to {body['window']['to']}"
    if body.get("model_version"):
        yield "model", body["model_version"]
    if body.get("report"):
        yield "report", f"MLflow run {body['report']}"


def _counted(counted: dict[str, Any]) -> Iterator[str]:
    """What was held against the policy."""
    from tiphys.watch.governor.decide import spoken

    if counted.get("one_with"):
        yield f"one with {counted['one_with']}"
    if counted.get("alerts", 1) > 1:
        yield f"{counted['alerts']} alerts of this fingerprint that settled together"
    if counted.get("labelled") is not None:
        yield f"{counted['labelled']:,} labelled rows; {counted['min_labelled']:,} are needed"
    if "cooldown_s" in counted:
        since = counted["since_last_s"]
        last = "none before" if since is None else f"the last training began {spoken(since)} before"
        yield f"{last}; cool-down {spoken(counted['cooldown_s'])}"
        yield f"{counted['in_budget']} of {counted['budget']} trainings within {spoken(counted['budget_s'])}"


def _row(name: str, value: str) -> str:
    return f"  {name:<13} {value}"
