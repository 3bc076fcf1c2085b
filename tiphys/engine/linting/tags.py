"""What tags name: every one of a manifest is heard of, with all that is known where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import identifiers, is_function, parse
from tiphys.engine.validate_tags import Known

Json = dict[str, Any]
_PREFIXES = ("workflow", "steps", "tasks", "inputs", "outputs", "item", "retries", "lastRetry", "pod", "node")
_CHECKED = ("steps", "tasks", "inputs")
_OUTPUTS = "workflow.outputs."
_INPUT = 2  # where the name of an input stands in inputs.parameters.NAME
Tell = Callable[[str, str, str], None]


class Heard:
    """Judges each tag, and tells rule, place and what is wrong."""

    def __init__(self, tell: Tell, exported: frozenset[str] | None) -> None:
        """`exported` are the names `parameters.NAME` and `artifacts.NAME` that templates export; None: not all are known."""
        self._tell = tell
        self._exported = exported

    def __call__(self, tag: str, known: Known, path: str) -> None:
        """One tag."""
        path = path.removesuffix(":")
        if tag.startswith("="):
            self._expression(tag[1:], known, path)
            return
        name = tag.strip()
        if "{{" in name:
            return
        first = name.partition(".")[0]
        if first not in _PREFIXES:
            said = f"{path}: {{{{{tag}}}}} is no variable of Argo, which leaves it as it is: quote it otherwise if that is meant"
            self._tell("unknown-tag", path, said)
        elif first == "item" and known.items is None:
            self._tell(
                "item-outside-loop",
                path,
                f"{path}: {{{{{tag}}}}} has no value outside of a loop: add withItems or withParam",
            )
        elif name.startswith(_OUTPUTS):
            self._exports(name, path)

    def _exports(self, name: str, path: str) -> None:
        wanted = name.removeprefix(_OUTPUTS)
        if self._exported is not None and wanted not in self._exported:
            known = ", ".join(sorted(self._exported)) or "none"
            said = f"{path}: {{{{{name}}}}}: no template exports it by a globalName (exported: {known})"
            self._tell("no-such-output", path, said)

    def _expression(self, text: str, known: Known, path: str) -> None:
        try:
            names = identifiers(parse(text))
        except ExpressionError as error:
            self._tell("unresolved-expression", path, f"{path}: {{{{={text}}}}} is no expression: {error}")
            return
        for name in [each for each in names if not any(other.startswith(f"{each}.") for other in names)]:
            first = name.partition(".")[0]
            if first in _CHECKED and not is_function(name) and not _may_have(known, name):
                said = f"{path}: {{{{={text}}}}}: nothing gives {name} a value here"
                self._tell("unresolved-expression", path, said)


def _may_have(known: Known, name: str) -> bool:
    """Whether `name`, a part before it, or something below it has a value."""
    parts = name.split(".")
    if parts[:2] == ["inputs", "parameters"] and len(parts) > _INPUT:  # all of them together are known, too
        return known.has(".".join(parts[: _INPUT + 1]))
    if any(known.has(".".join(parts[:length])) for length in range(1, len(parts) + 1)):
        return True
    names = known.names
    if parts[0] == "tasks" and len(parts) > 1 and (given := known.before(parts[1])) is not None:
        names = names | given.names
    return len(parts) == 1 or any(each.startswith(f"{name}.") for each in names)


def exported(specs: Iterator[Json]) -> frozenset[str]:
    """What the templates of some specs export by a globalName."""
    found = set()
    for spec in specs:
        for template in spec.get("templates") or []:
            for section in ("parameters", "artifacts"):
                for entry in (template.get("outputs") or {}).get(section) or []:
                    if entry.get("globalName"):
                        found.add(f"{section}.{entry['globalName']}")
    return frozenset(found)
