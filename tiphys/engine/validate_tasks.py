"""Refuses steps and tasks that are put together wrongly: names, loops, hooks, and what depends on what."""

from __future__ import annotations

import re
from typing import Any

from tiphys.engine.depends import ITEM_RESULTS, RESULTS, Dependencies, terms
from tiphys.engine.errors import ManifestError

Json = dict[str, Any]
_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_BAD_NAME = (
    "name must consist of alpha-numeric characters or '-', "
    "and must start with an alpha-numeric character (e.g. My-name1-2, 123-NAME)"
)
_TAG = re.compile(r"\{\{[^{}]*\}\}")
_LONGEST_NAME = 128
_LOOPS = ("withItems", "withParam", "withSequence")


def bad_name(name: str) -> str:
    """What is wrong with the name of a template, step or task; empty if nothing is."""
    if len(name) > _LONGEST_NAME:
        return f"must be no more than {_LONGEST_NAME} characters"
    return "" if _NAME.fullmatch(name) else _BAD_NAME


def check_step_name(step: Json, where: str, names: set[str]) -> None:
    """Refuse a step's or task's name that is none, or among `names`, to which it is added."""
    name = step.get("name") or ""
    if not name:
        msg = f"{where}.name is required"
        raise ManifestError(msg)
    # Its tags are filled in with the template around it, so only what is written between them can be judged.
    if problem := bad_name(_TAG.sub("x", name)):
        msg = f"{where}.name '{name}' is invalid: {problem}"
        raise ManifestError(msg)
    if name in names:
        msg = f"{where}.name '{name}' is not unique"
        raise ManifestError(msg)
    names.add(name)


def is_loop(step: Json) -> bool:
    """Whether the step makes one step of each item."""
    return any(step.get(kind) is not None for kind in _LOOPS)


def check_loop(step: Json, path: str) -> None:
    """Refuse a loop over two things, or over nothing."""
    if sum(1 for kind in _LOOPS if step.get(kind)) > 1:
        msg = f"{path} only one of withItems, withParam, withSequence can be specified"
        raise ManifestError(msg)
    sequence = step.get("withSequence")
    if sequence is not None:
        if sequence.get("count") is not None and sequence.get("end") is not None:
            msg = f"{path} only one of count or end can be defined in withSequence"
            raise ManifestError(msg)
        if sequence.get("count") is None and sequence.get("end") is None:
            msg = f"{path} must have count or end defined in withSequence"
            raise ManifestError(msg)


def check_hook(name: str, hook: Json, path: str) -> None:
    """Refuse a hook that would never be called."""
    if name != "exit" and not hook.get("expression"):
        msg = f"{path}.{name} Expression required"
        raise ManifestError(msg)


def check_tasks(tasks: list[Json], place: str) -> None:
    """Refuse tasks that have bad names, or say in two ways what they depend on."""
    names: set[str] = set()
    for task in tasks:
        name = task.get("name") or ""
        if name in names:
            msg = f"{place} sorting failed: duplicated nodeName {name}"
            raise ManifestError(msg)
        check_step_name(task, f"{place}.tasks", names)
    uses_depends = any(task.get("depends") for task in tasks)
    uses_dependencies = any(task.get("dependencies") for task in tasks)
    if uses_depends and uses_dependencies:
        msg = f"{place} cannot use both 'depends' and 'dependencies' in the same DAG template"
        raise ManifestError(msg)
    for task in tasks:
        if uses_depends and task.get("continueOn"):
            msg = f"{place} cannot use 'continueOn' when using 'depends'. Instead use 'dep-task.Failed'/'dep-task.Errored'"
            raise ManifestError(msg)
        if (uses_depends or uses_dependencies) and task["name"][0].isdigit():
            msg = f"{place}.tasks.{task['name']} name cannot begin with a digit when using either 'depends' or 'dependencies'"
            raise ManifestError(msg)


def check_order(graph: Dependencies, place: str) -> None:
    """Refuse tasks that depend on none that there is, on a result that there is not, or on each other in a circle."""
    for name, task in graph.tasks.items():
        for dependency, result in [
            *terms(task.get("depends") or ""),
            *((other, "") for other in task.get("dependencies") or []),
        ]:
            if dependency not in graph.tasks:
                msg = f"{place} sorting failed: invalid dependency {dependency} of task {name}"
                raise ManifestError(msg)
            if result and result not in RESULTS:
                msg = f"{place}.tasks.{name} task result '{result}' for task '{dependency}' is invalid"
                raise ManifestError(msg)
            if result in ITEM_RESULTS and not is_loop(graph.tasks[dependency]):
                msg = (
                    f"{place}.tasks.{dependency} dependency '{dependency}' uses an items-based condition such as "
                    ".AnySucceeded or .AllFailed but does not contain any items"
                )
                raise ManifestError(msg)
    _refuse_cycle(graph, place)


def _refuse_cycle(graph: Dependencies, place: str) -> None:
    waiting = {name: set(graph.of(name)) for name in graph.tasks}
    followers: dict[str, list[str]] = {}
    for name, needs in waiting.items():
        for need in needs:
            followers.setdefault(need, []).append(name)
    free = [name for name, needs in waiting.items() if not needs]
    while free:
        name = free.pop()
        del waiting[name]
        for follower in followers.get(name, ()):
            waiting[follower].discard(name)
            if not waiting[follower]:
                free.append(follower)
    if waiting:
        msg = f"{place} sorting failed: graph with cycle: {', '.join(sorted(waiting))}"
        raise ManifestError(msg)
