"""`when` and `stopStrategy.expression` of a CronWorkflow, over the variables `cronworkflow.*`."""

from __future__ import annotations

import json
import re
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import NOW, evaluate, evaluate_bool, expand
from tiphys.engine.expressions.times import SECOND, Time
from tiphys.engine.expressions.values import Int64, NilMap, StringMap
from tiphys.engine.gotext import go_json, go_quote
from tiphys.engine.schedules.cron_workflow import moment_from, name_of
from tiphys.engine.substitute import ALL, Substitution
from tiphys.engine.when import should_execute

Json = dict[str, Any]
TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def variables(cron: Json) -> Json:
    """The values by name, without `cronworkflow.`: each of the kind that Argo's has."""
    metadata, status = cron.get("metadata") or {}, cron.get("status") or {}
    labels = metadata.get("labels") or None
    last = moment_from(status.get("lastScheduledTime"))
    texts = NilMap() if labels is None else StringMap(labels)
    return {
        "name": name_of(cron),
        "namespace": metadata.get("namespace") or "",
        "labels": texts,
        "annotations": texts,  # Argo gives the labels here too
        "labels.json": _json(labels),
        "annotations.json": _json(metadata.get("annotations") or None),
        "failed": Int64(status.get("failed") or 0),
        "succeeded": Int64(status.get("succeeded") or 0),
        "lastScheduledTime": None if last is None else Time(int(last) * SECOND),
    }


def _json(value: Json | None) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def may_run(cron: Json, now: float) -> bool:
    """Whether `when` holds; it does where there is none. `now` is in seconds since the epoch. Raises TemplateError."""
    when = (cron.get("spec") or {}).get("when") or ""
    if not when:
        return True
    flat = {f"cronworkflow.{name}": value for name, value in variables(cron).items()}
    names = Substitution(flat, ALL, artifacts_may_wait=False)
    environment = {**expand(flat), NOW: _moment(now)}
    parts = [
        _shown(evaluate(expression_of(tag), environment), tag) if tag.startswith("=") else names.text("{{" + tag + "}}")
        for tag in TAG.findall(when)
    ]
    texts = TAG.split(when)[::2]
    return should_execute("".join(text + part for text, part in zip(texts, [*parts, ""], strict=True)))


def expression_of(tag: str) -> str:
    """The expression of a tag that begins with `=`; Argo reads it as the inside of a JSON text. Raises ExpressionError."""
    try:
        return str(json.loads(f'"{tag[1:]}"'))
    except ValueError as error:
        msg = f"failed to unmarshall JSON expression: {error}: write texts in '...' here, as Argo takes no \" in it"
        raise ExpressionError(msg) from None


def _shown(result: Any, tag: str) -> str:
    """A result as Argo puts it into the condition."""
    if result is None:
        msg = f'failed to evaluate expression "{tag[1:]}"'
        raise ExpressionError(msg)
    written = go_json(result)
    return written[1:-1] if written.startswith('"') else go_quote(written)[1:-1]


def is_to_stop(cron: Json, now: float) -> bool:
    """Whether stopStrategy.expression holds: nothing more is to start. Raises TemplateError."""
    strategy = (cron.get("spec") or {}).get("stopStrategy")
    if not strategy:
        return False
    environment = {"cronworkflow": variables(cron), NOW: _moment(now)}
    return evaluate_bool(strategy.get("expression") or "", environment, {})


def _moment(now: float) -> Time:
    return Time(int(now * SECOND))
