"""The dependencies of DAG tasks: the `depends` logic, its older form `dependencies`, ancestors, leaves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import evaluate_bool

Json = dict[str, Any]
RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
ITEM_RESULTS = ("AnySucceeded", "AllFailed")
_PLAIN = re.compile(r"\s*[a-zA-Z0-9][-a-zA-Z0-9]*(\s*&&\s*[a-zA-Z0-9][-a-zA-Z0-9]*)*\s*$")
_TERM = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*?\.[A-Z][a-zA-Z]+)|([a-zA-Z0-9][-a-zA-Z0-9]*)")


class Dependencies:
    """The dependency graph of one DAG template."""

    def __init__(self, tasks: list[Json]) -> None:
        """`tasks` as in the manifest, in its order."""
        self.tasks = {task["name"]: task for task in tasks}
        self._parsed: dict[str, tuple[list[str], str]] = {}
        self._ancestors: dict[str, list[str]] = {}
        self._dependents: dict[str, list[str]] = {}

    def of(self, name: str) -> list[str]:
        """The tasks that task `name` waits for, in the order in which it names them."""
        return self._resolve(name)[0]

    def dependents(self, name: str) -> list[str]:
        """The tasks that wait for task `name`."""
        if not self._dependents:
            for task in self.tasks:
                for dependency in self.of(task):
                    self._dependents.setdefault(dependency, []).append(task)
        return self._dependents.get(name, [])

    def logic(self, name: str) -> str:
        """The full boolean expression of task `name`, or an empty text."""
        return self._resolve(name)[1]

    def holds(self, name: str, results: Mapping[str, Mapping[str, bool]]) -> bool:
        """Whether the dependencies of task `name` let it run. Raises ExpressionError."""
        task = self.tasks[name]
        if _PLAIN.match(task.get("depends") or " && ".join(task.get("dependencies") or [])):
            # By far the most frequent form needs no expression: every task that is named has ended well.
            return all(any(results[other][word] for word in self._good(other)) for other in self.of(name))
        return holds(self.logic(name), results)

    def leaves(self) -> list[str]:
        """The tasks that no other one waits for, by name."""
        needed = {dependency for name in self.tasks for dependency in self.of(name)}
        return sorted(set(self.tasks) - needed)

    def ancestors(self, name: str) -> list[str]:
        """All tasks before `name`, each after those it waits for."""
        if name not in self._ancestors:
            found: dict[str, None] = {}
            self._visit(name, found)
            found.pop(name, None)
            self._ancestors[name] = list(found)
        return self._ancestors[name]

    def _visit(self, name: str, found: dict[str, None]) -> None:
        # A stack, not recursion: a chain of a thousand tasks is legal.
        stack: list[tuple[str, bool]] = [(name, False)]
        seen: set[str] = set()
        while stack:
            current, finished = stack.pop()
            if finished:
                found[current] = None
            elif current not in seen:
                seen.add(current)
                stack.append((current, True))
                stack.extend((dependency, False) for dependency in reversed(self.of(current)))

    def _resolve(self, name: str) -> tuple[list[str], str]:
        if name not in self._parsed:
            self._parsed[name] = self._parse(self.tasks[name])
        return self._parsed[name]

    def _parse(self, task: Json) -> tuple[list[str], str]:
        depends = task.get("depends") or " && ".join(
            self._expand(dependency) for dependency in task.get("dependencies") or []
        )
        names: dict[str, None] = {}

        def replace(match: re.Match[str]) -> str:
            names[match.group().split(".")[0]] = None
            return match.group() if match[1] else self._expand(match.group())

        logic = _TERM.sub(replace, depends)
        return list(names), logic

    def _good(self, name: str) -> list[str]:
        """The results that a bare name stands for."""
        continue_on = self.tasks.get(name, {}).get("continueOn") or {}
        forgiven = [result for key, result in (("error", "Errored"), ("failed", "Failed")) if continue_on.get(key)]
        return ["Succeeded", "Skipped", "Daemoned", *forgiven]

    def _expand(self, name: str) -> str:
        return "(" + " || ".join(f"{name}.{result}" for result in self._good(name)) + ")"


def terms(depends: str) -> list[tuple[str, str]]:
    """The `task.Result` terms of a depends text; the result is empty for a bare name."""
    found = []
    for match in _TERM.finditer(depends):
        name, _, result = match.group().partition(".")
        found.append((name, result))
    return found


def holds(logic: str, results: Mapping[str, Mapping[str, bool]]) -> bool:
    """Whether the expression `logic` holds, given each task's results. Raises ExpressionError."""
    flat = logic.replace("-", "_")
    try:
        return evaluate_bool(flat, {name.replace("-", "_"): dict(values) for name, values in results.items()})
    except ExpressionError as error:
        msg = f"unable to evaluate expression '{flat}': {error}"
        raise ExpressionError(msg) from None
