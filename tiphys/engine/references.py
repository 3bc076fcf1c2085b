"""Fills in a step or task before it runs: `when` first, then the rest, then its artifacts."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.fanout import should_expand
from tiphys.engine.operation import Operation
from tiphys.engine.outputs import resolve_argument_artifacts
from tiphys.engine.scope import Scope
from tiphys.engine.substitute import Substitution
from tiphys.engine.when import should_execute

Json = dict[str, Any]
_STRICT = ("steps", "tasks")


def resolve_step(op: Operation, step: Json, scope: Scope, *, steps: bool) -> Json:
    """`step` with what earlier steps gave; unchanged but for `when` if it will not run. Raises TemplateError."""
    substitution = Substitution(scope.variables(op.globals), _STRICT)
    hooks = step.get("hooks")
    body = {key: value for key, value in step.items() if key != "hooks"}
    if step.get("when"):
        when = substitution.fill(step["when"])
        if not _may_run(when, step):
            return {**step, "when": when}
    body["arguments"] = scope.mark_absent(body.get("arguments") or {})
    filled: Json = substitution.fill(body)
    filled["arguments"] = resolve_argument_artifacts(filled["arguments"], scope, steps=steps)
    if hooks is not None:
        filled["hooks"] = hooks
    return filled


def _may_run(when: str, step: Json) -> bool:
    try:
        return should_execute(when)
    except TemplateError:
        # The condition of a loop may need {{item}}, which is filled in later.
        if should_expand(step):
            return True
        raise
