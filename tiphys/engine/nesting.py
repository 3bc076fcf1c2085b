"""How deep and how large a document may be: bounds that stop a bomb before anyone walks through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tiphys.engine.errors import ManifestError

DEEPEST = 100
"""Levels of mappings and lists; templates inlined in templates take four each."""
MOST_VALUES = 5_000_000
"""Mappings, lists and values after YAML's aliases are followed; a manifest of 10 MB has about a million."""
_HARMLESS = 5_000  # brackets or indentation that the C parser's stack certainly bears
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def check_text(text: str, loader: Any) -> None:
    """Refuse a YAML text nested so deep that the parser itself would overflow its stack. Raises ManifestError."""
    if text.count("[") + text.count("{") < _HARMLESS and _deepest_line(text) < _HARMLESS:
        return
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        if depth > DEEPEST:
            raise _too_deep("the manifest" if event.start_mark is None else f"line {event.start_mark.line + 1}")


def _deepest_line(text: str) -> int:
    """At least as many levels as block indentation and chains of dashes can make."""
    lines = text.splitlines()
    return max((len(line) - len(line.lstrip(" \t")) + line.count("- ") + line.count("? ") for line in lines), default=0)


def check_tree(tree: Any, name: str) -> None:
    """Refuse a tree that is too deep, endless (an alias inside itself) or too large. Raises ManifestError.

    Shared branches are measured once and counted as often as they are used: aliases can make a few lines stand for
    more values than a machine holds.
    """
    if not isinstance(tree, (dict, list)):
        return
    sizes: dict[int, tuple[int, int]] = {}
    open_branches = {id(tree)}
    stack: list[tuple[Any, Iterator[Any]]] = [(tree, _inner(tree))]
    while stack:
        branch, rest = stack[-1]
        inner = next((each for each in rest if id(each) not in sizes), None)
        if inner is None:
            sizes[id(branch)] = _measure(branch, sizes, name)
            open_branches.discard(id(branch))
            stack.pop()
            continue
        if id(inner) in open_branches or len(stack) >= DEEPEST:
            raise _too_deep(name)
        open_branches.add(id(inner))
        stack.append((inner, _inner(inner)))


def _inner(branch: Any) -> Iterator[Any]:
    values = branch.values() if isinstance(branch, dict) else branch
    return (value for value in values if isinstance(value, (dict, list)))


def _measure(branch: Any, sizes: dict[int, tuple[int, int]], name: str) -> tuple[int, int]:
    """How many values a branch stands for, and how many levels; what is below it has been measured."""
    below = [sizes[id(value)] for value in _inner(branch)]
    count = 1 + len(branch) + sum(each for each, _ in below)
    depth = 1 + max((each for _, each in below), default=0)
    if count > MOST_VALUES:
        msg = f"{name}: its aliases stand for more than {MOST_VALUES:,} values: write the manifest out, or make it smaller"
        raise ManifestError(msg)
    if depth > DEEPEST:
        raise _too_deep(name)
    return count, depth


def _too_deep(place: str) -> ManifestError:
    return ManifestError(f"{place}: nested more than {DEEPEST} levels deep: put inner templates beside the outer ones")
