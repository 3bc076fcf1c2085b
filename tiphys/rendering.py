"""From what a module of workflows/ returns to the text of its file: kinds in order, keys for people, no secrets.

A module has `pipeline()`, which returns one object or several: Hera's WorkflowTemplate or CronWorkflow, or a model such
as WorkflowEventBinding. This module knows their shapes by what they answer to and imports no Hera.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import yaml

from tiphys.errors import PermanentError
from tiphys.secret_values import secret_values

Json = dict[str, Any]
KINDS = ("ClusterWorkflowTemplate", "WorkflowTemplate", "CronWorkflow", "WorkflowEventBinding")
"""What a rendered file may hold, in the order in which it stands there and is installed: templates before their users."""


def documents(made: Any) -> list[Json]:
    """The Kubernetes objects of what `pipeline()` returned, in the order of their kinds, then of their names.

    Raises:
        PermanentError: an object of a kind that is not rendered here.
    """
    several = made if isinstance(made, (list, tuple)) else [made]
    found = [_ordered(_plain(each)) for each in several]
    for each in found:
        if each.get("kind") not in KINDS:
            message = (
                f"workflows/ renders {', '.join(KINDS)}, not {each.get('kind')!r}: a chart or `tiphys up` makes it"
            )
            raise PermanentError(message)
    return sorted(found, key=lambda each: (KINDS.index(each["kind"]), each["metadata"]["name"]))


def text(found: Iterable[Json], known_secrets: Collection[str] = ()) -> str:
    """The documents as YAML.

    Raises:
        PermanentError: one holds a secret's value; the message has every place and the remedy, not the value.
    """
    found = list(found)
    problems = [
        f"{each['kind']} {each['metadata']['name']}: {problem}"
        for each in found
        for problem in secret_values(each, known_secrets)
    ]
    if problems:
        message = "nothing was written, a manifest holds a secret's value:\n" + "\n".join(
            f"  {each}" for each in problems
        )
        raise PermanentError(message)
    dumped: str = yaml.dump_all(found, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return dumped


def _plain(made: Any) -> Json:
    """The object as Kubernetes has it; Hera's classes are built first."""
    model = made.build() if hasattr(made, "build") else made
    found: Json = model.model_dump(mode="json", exclude_none=True, by_alias=True)
    return found


def _ordered(value: Any) -> Any:
    """Keys as people read: the name, then plain values, lists, objects."""
    if isinstance(value, list):
        return [_ordered(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: (_rank(key, value[key]), key))}


def _rank(key: str, value: Any) -> int:
    if key == "name" and isinstance(value, str):
        return 0
    return 2 if isinstance(value, list) else 3 if isinstance(value, dict) else 1


_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]  # the C dumper where libyaml is there
    """Writes a text of several lines as one."""


def _text(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
