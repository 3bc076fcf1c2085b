"""The variables of an expression: `tasks.a.status` of the flat scope becomes nested maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Environment = dict[str, Any]
NOW = "$now"
"""The variable that `now()` gives where the caller holds the clock: a Time. No expression can name it."""


def expand(flat: Mapping[str, Any]) -> Environment:
    """Nest dotted keys; a key that is a prefix of another one gives way to it, as in Argo."""
    nested: Environment = {}
    for key in sorted(flat):
        parts = key.split(".")
        place = nested
        for part in parts[:-1]:
            inner = place.get(part)
            if not isinstance(inner, _Nested):
                inner = _Nested()
                place[part] = inner
            place = inner
        if not isinstance(place.get(parts[-1]), _Nested):
            place[parts[-1]] = flat[key]
    return nested


class _Nested(dict[str, Any]):
    """A map made by `expand`, told apart from a value that is a map itself."""


def has_variable(environment: Environment, path: str) -> bool:
    """Whether `path`, such as `tasks.a.outputs.result`, names something; a nil value counts."""
    place: Any = environment
    for part in path.split("."):
        if not isinstance(place, dict) or part not in place:
            return False
        place = place[part]
    return True
