"""Refuses a CronWorkflow that would never run as it says; in Argo's words where it has any, with the remedy."""

from __future__ import annotations

import re
from typing import Any

from tiphys.engine.errors import ExpressionError, ManifestError
from tiphys.engine.expressions import parse
from tiphys.engine.expressions.times import load_location
from tiphys.engine.schedules.conditions import TAG, expression_of
from tiphys.engine.schedules.cron_workflow import name_of
from tiphys.engine.schedules.crontab import ScheduleError, parse_schedule

Json = dict[str, Any]
LONGEST_NAME = 52
"""Characters of a name to which `-` and the seconds since the epoch are added for a run."""
_POLICIES = ("Allow", "Forbid", "Replace")
# What the CustomResourceDefinition lets through.
_PATTERN = re.compile(
    r"(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every\s+([0-9]+(ns|us|µs|ms|s|m|h))+"
    r"|([A-Za-z0-9*,/?-]+\s+){4}[A-Za-z0-9*,/?-]+)"
)
_LIMITS = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")


def check_cron_workflow(cron: Json) -> None:
    """Check all but the Workflow in it. Raises ManifestError."""
    name, spec = name_of(cron), cron.get("spec") or {}
    if not isinstance(spec, dict):
        msg = f"CronWorkflow.spec: a mapping is needed here, not {spec!r}"
        raise ManifestError(msg)
    if len(name) > LONGEST_NAME:
        msg = (
            f'cron workflow name "{name}" must not be more than {LONGEST_NAME} characters long (currently {len(name)}): '
            "the time is added to it for the name of a run"
        )
        raise ManifestError(msg)
    _types(spec)
    _schedules(spec)
    zone = spec.get("timezone") or ""
    try:
        load_location(zone)
    except ValueError as error:
        msg = f'invalid timezone "{zone}": {error}: write a name of the IANA list, such as Europe/Berlin'
        raise ManifestError(msg) from None
    policy = spec.get("concurrencyPolicy") or "Allow"
    if policy not in _POLICIES:
        msg = f"'{policy}' is not a valid concurrencyPolicy: write {', '.join(_POLICIES)}"
        raise ManifestError(msg)
    if (spec.get("startingDeadlineSeconds") or 0) < 0:
        msg = "startingDeadlineSeconds must be positive"
        raise ManifestError(msg)
    _expressions(spec)


def _types(spec: Json) -> None:
    for field in _LIMITS:
        value = spec.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            msg = f"CronWorkflow.spec.{field}: a whole number is needed here, not {value!r}"
            raise ManifestError(msg)
    for field, kind, what in (
        ("suspend", bool, "true or false"), ("timezone", str, "a text"), ("when", str, "a text (put it in quotes)"),
        ("concurrencyPolicy", str, "a text"), ("stopStrategy", dict, "a mapping"), ("schedules", list, "a list"),
        ("workflowSpec", dict, "a mapping"), ("workflowMetadata", dict, "a mapping"),
    ):  # fmt: skip
        value = spec.get(field)
        if value is not None and not isinstance(value, kind):
            msg = f"CronWorkflow.spec.{field}: {what} is needed here, not {value!r}"
            raise ManifestError(msg)


def _schedules(spec: Json) -> None:
    schedules = spec.get("schedules") or []
    if not schedules:
        msg = 'cron workflow must have at least one schedule: write schedules: ["0 4 * * *"]'
        raise ManifestError(msg)
    for index, text in enumerate(schedules):
        if not isinstance(text, str):
            msg = f"CronWorkflow.spec.schedules[{index}]: a text (put it in quotes) is needed here, not {text!r}"
            raise ManifestError(msg)
        if text.startswith(("TZ=", "CRON_TZ=")):
            msg = f"cron schedule {text} is malformed: a cluster takes no time zone in it: write spec.timezone"
            raise ManifestError(msg)
        try:
            parse_schedule(text)
        except ScheduleError as error:
            msg = f"cron schedule {text} is malformed: {error}: write minute, hour, day of month, month, day of week"
            raise ManifestError(msg) from None
        if not _PATTERN.fullmatch(text):
            msg = (
                f"cron schedule {text} is malformed: a cluster takes five fields of letters, digits and */,?-, "
                "or @daily and the like, or @every with whole numbers, such as @every 1h30m"
            )
            raise ManifestError(msg)


def _expressions(spec: Json) -> None:
    """Refuse what can't be parsed: it would end in an error at every moment."""
    strategy = spec.get("stopStrategy")
    if strategy is not None:
        expression = strategy.get("expression")
        if not expression or not isinstance(expression, str):
            msg = "CronWorkflow.spec.stopStrategy.expression: write one, such as cronworkflow.failed >= 3"
            raise ManifestError(msg)
        _parse("stopStrategy.expression", expression)
    for tag in TAG.findall(spec.get("when") or ""):
        if tag.startswith("="):
            _parse("when", tag)


def _parse(field: str, text: str) -> None:
    try:
        parse(expression_of(text) if field == "when" else text)
    except ExpressionError as error:
        msg = f"CronWorkflow.spec.{field}: {error}"
        raise ManifestError(msg) from None
