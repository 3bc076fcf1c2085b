"""Draws a run as `argo get` does: what it is, then its steps with TEMPLATE, PODNAME, DURATION and MESSAGE.

As there, step groups are drawn by their branches, a Retry of one attempt and Omitted steps are left out, the items of a
loop stand beside one another, and the exit handler has a tree of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tiphys.engine import ages
from tiphys.engine.nodes import OMITTED, SUCCEEDED, Node, node_id, pod_name
from tiphys.engine.run_state import RunState
from tiphys.engine.selector import Clause, matches
from tiphys.engine.tree import SYMBOLS, paint

_BOUNDARIES = ("DAG", "Steps")
_PARENTS = ("StepGroup", "Retry")
_EXECUTED = ("Pod", "Skipped", "Suspend", "HTTP", "Plugin")
_SUSPENDED = "ǁ"
_INDEX = re.compile(r"\((\d+):")
_HEADINGS = ("STEP", "TEMPLATE", "PODNAME", "DURATION", "MESSAGE")
_COLUMN = 21  # where values begin
_LONGEST, _ROWS = 200, 20  # characters and lines of a value
_Row = tuple[str, ...]


def draw(run: RunState, now: float, *, colour: bool = False, clauses: list[Clause] | None = None) -> list[str]:
    """The header, then the tree; `clauses` choose the steps that are shown. `now` is in seconds since the epoch."""
    found = header(run, now, colour=colour)
    if run.name in run.nodes:
        found += ["", *steps(run, now, colour=colour, clauses=clauses)]
    return found


def header(run: RunState, now: float, *, colour: bool = False) -> list[str]:
    """Name, status, times, parameters and outputs, a line each."""
    status = f"{run.phase or 'Pending'}{' (Suspended)' if is_suspended(run) else ''}"
    pairs = [("Name:", run.name), ("Namespace:", run.namespace), ("Status:", paint(status, run.phase, colour))]
    pairs += [("Message:", run.message)] if run.message else []
    pairs.append(("Created:", ages.timestamp(run.created, now)))
    if run.started:
        pairs.append(("Started:", ages.timestamp(run.started, now)))
    if run.finished:
        pairs.append(("Finished:", ages.timestamp(run.finished, now)))
    if run.started:
        pairs.append(("Duration:", ages.long((run.finished or now) - run.started)))
    pods = [node for node in run.nodes.values() if node.type == "Pod"]
    pairs.append(("Progress:", f"{sum(1 for node in pods if node.phase == SUCCEEDED)}/{len(pods)}"))
    pairs += _values("Parameters:", (run.spec.get("arguments") or {}).get("parameters") or [])
    pairs += _values("Output Parameters:", (run.outputs or {}).get("parameters") or [])
    artifacts = (run.outputs or {}).get("artifacts") or []
    pairs += [("Output Artifacts:", "")] if artifacts else []
    pairs += [(f"  {entry['name']}:", (entry.get("s3") or {}).get("key") or "") for entry in artifacts]
    return [line for name, value in pairs for line in _lines(name, value)]


def is_suspended(run: RunState) -> bool:
    """Whether the run, or a step of it, waits to be resumed."""
    waits = any(node.type == "Suspend" and not node.fulfilled for node in run.nodes.values())
    return not run.done and (run.suspended or waits)


def _values(title: str, entries: list[dict[str, object]]) -> list[tuple[str, str]]:
    given = [entry for entry in entries if entry.get("value") is not None]
    return [(title, "")] * bool(given) + [(f"  {entry['name']}:", str(entry["value"])) for entry in given]


def _lines(name: str, value: str) -> list[str]:
    """A name with its value in one column, what is long cut: `-o json` has all."""
    rows = [row if len(row) <= _LONGEST else f"{row[:_LONGEST]}…" for row in value.rstrip("\n").split("\n")]
    if len(rows) > _ROWS:
        rows = [*rows[:_ROWS], "…"]
    names = [name, *[""] * (len(rows) - 1)]
    return [f"{left:<{_COLUMN - 1}} {row}".rstrip() for left, row in zip(names, rows, strict=True)]


def pod_of(run: RunState, node: Node) -> str:
    """The name of the node's pod."""
    return pod_name(run.name, node.name, (node.template_ref or {}).get("template") or node.template_name)


@dataclass
class _Branch:
    """A node and what is drawn below it."""

    node: Node
    below: list[_Branch] = field(default_factory=list)


def steps(run: RunState, now: float, *, colour: bool = False, clauses: list[Clause] | None = None) -> list[str]:
    """The tree as a table."""
    drawing = _Drawing(run, now, clauses or [])
    branches = _branches(run)
    drawing.branch(branches[run.name], " ", " ")
    exit_id = node_id(run.name, f"{run.name}.onExit")
    if exit_id in branches:
        drawing.rows.append((None, ("", "", "", "", "")))
        drawing.branch(branches[exit_id], " ", " ")
    return _table(drawing.rows, colour)


def _branches(run: RunState) -> dict[str, _Branch]:
    """Every node that can be drawn, each below the group that lists it, else below its boundary."""
    found = {
        node.id: _Branch(node)
        for node in run.nodes.values()
        if node.type in (*_BOUNDARIES, *_PARENTS, *_EXECUTED) or node.id == run.name
    }
    owner = {
        child: branch for branch in found.values() if branch.node.type in _PARENTS for child in branch.node.children
    }
    for branch in found.values():
        above = owner.get(branch.node.id) or found.get(branch.node.boundary)
        if above is not None and above is not branch:
            above.below.append(branch)
    for branch in found.values():
        branch.below.sort(key=lambda each: _order(each.node))
    return found


def _order(node: Node) -> tuple[int, int, str]:
    """By the second in which they started, then by index in a loop, then by name."""
    index = _INDEX.search(node.display_name)
    return int(node.started), int(index[1]) if index else 0, node.display_name


class _Drawing:
    def __init__(self, run: RunState, now: float, clauses: list[Clause]) -> None:
        self.rows: list[tuple[Node | None, _Row]] = []
        self._run = run
        self._now = now
        self._clauses = clauses

    def branch(self, branch: _Branch, own: str, below: str) -> None:
        """One node and what is below it; `own` stands before the node, `below` before its children."""
        hidden, forks = self._hidden(branch.node)
        if not hidden:
            self.rows.append((branch.node, self._cells(branch.node, own)))
        drawn = [child for child in branch.below if child.below or not self._hidden(child.node)[0]]
        last = len(drawn) - 1
        for index, child in enumerate(drawn):
            part, rest = _parts(index, last, hidden=hidden, forks=forks)
            before = own if hidden and index == 0 else below
            self.branch(child, before + part, below + rest)

    def _hidden(self, node: Node) -> tuple[bool, bool]:
        """Whether the node itself is left out, and whether its children fork where it would stand."""
        if node.type == "Retry" and len(node.children) == 1:
            return True, False
        if node.type == "StepGroup":
            return True, True
        return node.phase == OMITTED or not matches(node, self._clauses), False

    def _cells(self, node: Node, prefix: str) -> _Row:
        reference = node.template_ref
        template = f"{reference.get('name')}/{reference.get('template')}" if reference else node.template_name
        is_pod = node.type == "Pod"
        name = pod_of(self._run, node)
        took = ages.short((node.finished or self._now) - node.started) if node.started else "0s"
        shown = f"{prefix}{_symbol(node)} {_one_line(node.display_name)}"
        return (shown, template, name if is_pod else "", took if is_pod else "", _one_line(node.message))


def _parts(index: int, last: int, *, hidden: bool, forks: bool) -> tuple[str, str]:
    """What stands before a child, and before all that is below it."""
    if hidden and not forks:
        return "", ""
    if hidden and last == 0:
        return "──", "  "
    if hidden and index == 0:
        return "┬─", "│ "
    return ("└─", "  ") if index == last else ("├─", "│ ")


def _symbol(node: Node) -> str:
    return _SUSPENDED if node.type == "Suspend" and node.phase == "Running" else SYMBOLS.get(node.phase, "?")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(rows: list[tuple[Node | None, _Row]], colour: bool) -> list[str]:  # noqa: FBT001
    every = [_HEADINGS, *(cells for _, cells in rows)]
    widths = [max(len(cells[column]) for cells in every) + 2 for column in range(len(_HEADINGS))]
    found = [_row(_HEADINGS, widths)]
    for node, cells in rows:
        text = _row(cells, widths)
        if node is not None:
            symbol = _symbol(node)
            text = text.replace(symbol, paint(symbol, node.phase, colour), 1)
        found.append(text)
    return found


def _row(cells: _Row, widths: list[int]) -> str:
    return "".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
