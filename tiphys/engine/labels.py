"""`workflowMetadata`: the labels and annotations of a run, and the labels that expressions over its variables give."""

from __future__ import annotations

import re

from tiphys.engine.errors import ExpressionError, ManifestError, TemplateError
from tiphys.engine.expressions import evaluate, expand
from tiphys.engine.operation import static_globals
from tiphys.engine.run_state import RunState
from tiphys.engine.substitute import fill

_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")


def labels_from(run: RunState) -> dict[str, str]:
    """The labels by name. Raises ManifestError for an expression that fails, or gives no valid label."""
    found: dict[str, str] = {}
    sources = (run.spec.get("workflowMetadata") or {}).get("labelsFrom") or {}
    variables = expand(static_globals(run)) if sources else {}
    for name, source in sources.items():
        expression = source.get("expression") or ""
        try:
            value = evaluate(expression, variables)
        except ExpressionError as problem:
            msg = f'failed to evaluate label "{name}" expression "{expression}": {problem}'
            raise ManifestError(msg) from None
        if not isinstance(value, str):
            msg = (
                f'failed to evaluate label "{name}" expression "{expression}": it gives {value!r} but must give a text'
            )
            raise ManifestError(msg)
        if not _VALUE.fullmatch(value):
            msg = f'invalid label value "{value}" for label "{name}" and expression "{expression}": write a-z, 0-9, -, _ and .'
            raise ManifestError(msg)
        found[name] = value
    return found


def set_metadata(run: RunState) -> None:
    """Put `workflowMetadata` on the run: its labels and annotations with their tags filled in, then labelsFrom.

    Raises ManifestError for what is no valid label.
    """
    try:
        known = static_globals(run)
    except TemplateError:  # an argument that has no value: the run's first pass ends with that message
        return
    metadata = fill(run.spec.get("workflowMetadata") or {}, known)
    for name, value in (metadata.get("labels") or {}).items():
        if not _VALUE.fullmatch(value):
            msg = f'invalid label value "{value}" for label "{name}": write a-z, 0-9, -, _ and ., 63 characters at most'
            raise ManifestError(msg)
    run.labels.update(metadata.get("labels") or {})
    run.annotations.update(metadata.get("annotations") or {})
    run.labels.update(labels_from(run))
