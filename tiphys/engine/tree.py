"""Draws a run for a person: a tree like `argo get`, live on a terminal, one line per change elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tiphys.engine.nodes import (
    ERROR,
    FAILED,
    OMITTED,
    PENDING,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    UNSUCCESSFUL,
    Node,
    node_id,
)
from tiphys.engine.run_state import RunState

SYMBOLS = {SUCCEEDED: "✔", RUNNING: "●", FAILED: "✖", ERROR: "⚠", SKIPPED: "○", OMITTED: "○", PENDING: "◷", "": "◷"}
_COLOURS = {SUCCEEDED: "32", RUNNING: "36", FAILED: "31", ERROR: "31", SKIPPED: "2", OMITTED: "2", PENDING: "33"}
_INVISIBLE = {"StepGroup"}
LOG_LINES = 15
_LOG_BYTES = 16 * 1024
_FRAME = 0.05  # seconds: a large run changes more often than anybody sees
_MINUTE = 60


def duration(seconds: float) -> str:
    """A duration for a person: 3.1s, 2m 5s, 1h 4m."""
    if seconds < _MINUTE:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes}m {rest}s"
    return f"{minutes // 60}h {minutes % 60}m"


def took(node: Node, now: float) -> str:
    """How long a node took, or has taken up to now; empty for what never ran."""
    if not node.started or node.type == "Skipped" or node.phase in (SKIPPED, OMITTED):
        return ""
    return duration((node.finished or now) - node.started)


def paint(text: str, phase: str, colour: bool) -> str:  # noqa: FBT001
    """`text` in the colour of `phase`."""
    code = _COLOURS.get(phase)
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def lines(run: RunState, *, now: float | None = None, colour: bool = False, brief: bool = False) -> list[str]:
    """The tree, one line a node; `brief` leaves out first attempts that went well, which say nothing new."""
    now = time.time() if now is None else now
    hidden = {node.id for node in run.nodes.values() if brief and is_plain_attempt(run, node)}
    below = _visible_children(run, hidden)
    root = run.nodes.get(run.name)
    if root is None:
        return [f"{SYMBOLS.get(run.phase, '◷')} {run.name}"]
    found = [_line(root, run.name, now, colour)]
    _add_branches(below, root.id, "", now, colour, found)
    exit_node = next((node for node in run.nodes.values() if node.name == f"{run.name}.onExit"), None)
    if exit_node is not None:
        found += ["", _line(exit_node, exit_node.display_name, now, colour)]
        _add_branches(below, exit_node.id, "", now, colour, found)
    return found


def is_plain_attempt(run: RunState, node: Node) -> bool:
    """Whether it is the first attempt of a step and did not fail: its Retry node says all of it."""
    if not node.name.endswith("(0)") or node.unsuccessful:
        return False
    parent = run.nodes.get(node_id(run.name, node.name.removesuffix("(0)")))
    return parent is not None and parent.type == "Retry" and len(parent.children) <= 1


def _visible_children(run: RunState, hidden: set[str]) -> dict[str, list[Node]]:
    """Below each node those that it contains: attempts and items below their own node, the rest below the boundary."""
    owner: dict[str, str] = {}
    for node in run.nodes.values():
        if node.type in ("Retry", "TaskGroup"):
            owner.update(
                {child: node.id for child in node.children if run.nodes[child].name.startswith(f"{node.name}(")}
            )
    below: dict[str, list[Node]] = {}
    for node in run.nodes.values():
        if node.type not in _INVISIBLE and node.id not in hidden:
            below.setdefault(owner.get(node.id, node.boundary), []).append(node)
    return below


def _add_branches(  # noqa: PLR0913, PLR0917
    below: dict[str, list[Node]],
    parent: str,
    indent: str,
    now: float,
    colour: bool,  # noqa: FBT001
    found: list[str],
) -> None:
    children = [] if parent == "" else below.get(parent, [])
    for index, node in enumerate(children):
        last = index == len(children) - 1
        found.append(f"{indent}{'└─' if last else '├─'} {_line(node, node.display_name, now, colour)}")
        _add_branches(below, node.id, indent + ("   " if last else "│  "), now, colour, found)


def _line(node: Node, name: str, now: float, colour: bool) -> str:  # noqa: FBT001
    message = " ".join(node.message.split())
    parts = [paint(SYMBOLS.get(node.phase, "?"), node.phase, colour), " ".join(name.split()), took(node, now), message]
    return " ".join(part for part in parts if part)


class LiveTree:
    """A listener that shows a run while it happens."""

    def __init__(self, stream: TextIO | None = None, *, colour: bool = True) -> None:
        """On a terminal the tree is redrawn in place, in `colour`; elsewhere each change of phase is one line."""
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self.period = 1.0 if self._terminal else 0.0
        self._colour = colour
        self._drawn = 0
        self._drawn_at = 0.0
        self._phases: dict[str, str] = {}

    def __call__(self, run: RunState, changed: Sequence[Node]) -> None:
        """Show what changed."""
        if self._terminal:
            self._redraw(run)
        else:
            self._print_changes(run, changed)

    def _redraw(self, run: RunState) -> None:
        if not run.done and time.monotonic() - self._drawn_at < _FRAME:
            return  # the next second's tick, or the next change, shows it
        self._drawn_at = time.monotonic()
        size = shutil.get_terminal_size()
        shown = lines(run, colour=self._colour, brief=True)
        if len(shown) > size.lines - 2:
            shown = [shown[0], "…", *shown[-(size.lines - 4) :]]
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        self._stream.write(up + "\x1b[0J" + "".join(_cut(line, size.columns) + "\n" for line in shown))
        self._stream.flush()
        self._drawn = len(shown)

    def _print_changes(self, run: RunState, changed: Sequence[Node]) -> None:
        for node in sorted(changed, key=lambda each: each.name == run.name):  # the run's own line last
            if node.type in _INVISIBLE or node.phase == PENDING or self._phases.get(node.id) == node.phase:
                continue
            if is_plain_attempt(run, node) or (node.fulfilled and 0 < node.finished < run.started):
                continue  # said by its Retry node; or it ended before the run was retried
            self._phases[node.id] = node.phase
            self._stream.write(change_line(run, node) + "\n")
        self._stream.flush()


def _cut(line: str, width: int) -> str:
    """`line` no wider than the terminal; colour codes take no room."""
    visible, escaping = 0, False
    out: list[str] = []
    for char in line:
        escaping = escaping or char == "\x1b"
        if not escaping:
            visible += 1
            if visible >= width:
                return "".join(out) + "…" + ("\x1b[0m" if "\x1b" in out else "")
        elif char == "m":
            escaping = False
        out.append(char)
    return "".join(out)


def change_line(run: RunState, node: Node) -> str:
    """`12.3s ✔ ingest Succeeded 3.1s`."""
    now = time.time()
    name = " ".join(node.name.removeprefix(run.name).lstrip(".").split()) or run.name
    since = f"{duration((node.finished or now) - run.started):>8}"
    parts = [
        since,
        SYMBOLS.get(node.phase, "?"),
        name,
        node.phase,
        took(node, now) if node.fulfilled else "",
        node.message,
    ]
    return " ".join(part for part in parts if part)


def report(run: RunState, logs: dict[str, Path], *, colour: bool = False) -> list[str]:
    """What stands at the end: phase, message, duration; for a failure the step, the end of its log, and where that is."""
    found = verdict(run, colour=colour)
    failed = culprit(run)
    log = logs.get(failed.id) if failed and run.phase in UNSUCCESSFUL else None
    if log is not None and log.exists():
        found += [f"    {line}" for line in _last_lines(log)]
        found.append(f"  its log: {log}")
    return found


def verdict(run: RunState, *, colour: bool = False) -> list[str]:
    """Phase, message, duration; for a failure the step to blame."""
    total = duration(run.finished - run.started)
    headline = f"{SYMBOLS.get(run.phase, '?')} {run.name} {run.phase} after {total}"
    found = ["", paint(headline + (f": {run.message}" if run.message else ""), run.phase, colour)]
    failed = culprit(run) if run.phase in UNSUCCESSFUL else None
    return found + ([f"  failed: {failed.display_name} ({failed.message or failed.phase})"] if failed else [])


def _last_lines(log: Path) -> list[str]:
    """The last lines of a log, however long it is."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LOG_BYTES))
        return file.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]


def culprit(run: RunState) -> Node | None:
    """The step to blame: the first unsuccessful pod that nothing forgave, else any unsuccessful node."""
    failed = [node for node in run.nodes.values() if node.unsuccessful]
    pods = [node for node in failed if node.type == "Pod" and not node.flag("hooked")]
    final = [node for node in pods if not node.flag("retried")] or pods
    candidates = (
        final or [node for node in failed if node.type not in ("Steps", "DAG", "StepGroup", "TaskGroup")] or failed
    )
    return min(candidates, key=lambda node: node.finished, default=None)
