"""`tiphys logs`: what the steps of a run printed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, add_colour, explained, in_colour, say

if TYPE_CHECKING:
    from tiphys.engine import Engine, Node, RunState

_EXAMPLES = """examples:
  tiphys logs continuous-training-x7k2p
  tiphys logs @latest train
  tiphys logs @latest -f                  go on until the run has ended
"""
_COLOURS = (32, 33, 34, 35, 36, 37)
_LONGEST = 1 << 20  # bytes; a longer line is printed in parts


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "logs",
        help="what steps printed",
        description="Print what the steps of a run printed; each line begins with the step's name if there are several.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("node", metavar="STEP", nargs="?", default="", help="a step's name or id (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on printing until the run has ended")
    add_colour(parser)
    add_server(parser, "logs")
    parser.set_defaults(func=main)


@explained("logs")
def main(args: argparse.Namespace) -> int:
    """Print the logs."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.runs import find_run

    engine = open_engine()
    run = find_run(engine, args.run)
    tails = _Tails(engine, run.name, args.node, in_colour(args))
    if not args.follow or run.done:
        tails.print_new(run, whole=True)
        return 0
    try:
        return _follow(engine, run.name, tails)
    except KeyboardInterrupt:
        return 130


def _follow(engine: Engine, name: str, tails: _Tails) -> int:
    from tiphys.cli.following import follow

    for run in follow(engine, name):
        tails.print_new(run, whole=run.done)
    if not run.done:
        say(f"no engine drives {name} any more: `tiphys resume {name}` goes on with it")
        return 1
    return 0


class Printer:
    """Prints lines of logs, each after the step that it is from where there are several."""

    def __init__(self, colour: bool, *, prefixed: bool) -> None:  # noqa: FBT001
        """`prefixed`: the lines are of several steps."""
        self._colour = colour
        self._prefixed = prefixed

    def line(self, step: str, container: str, text: str) -> None:
        """Print one line of a step, or of a container beside it."""
        name = " ".join(step.split()) + (f" {container}" if container else "")
        print(f"{self._painted(name)}: {text}" if self._prefixed or container else text)

    def _painted(self, name: str) -> str:
        code = _COLOURS[sum(map(ord, name)) % len(_COLOURS)]
        return f"\x1b[{code}m{name}\x1b[0m" if self._colour else name


class _Tails:
    """What was printed so far of each log of a run."""

    def __init__(self, engine: Engine, run: str, wanted: str, colour: bool) -> None:  # noqa: FBT001
        self._place: Callable[[str], Path] = lambda node_id: engine.log_path(run, node_id)
        self._wanted = wanted
        self._colour = colour
        self._offsets: dict[Path, int] = {}

    def print_new(self, run: RunState, *, whole: bool) -> None:
        """Print the lines that are new; `whole` with the last one even if its end is not there."""
        logs = self._logs(run)
        nodes = chosen(run, self._wanted, [node for node in run.nodes.values() if node.id in logs])
        printer = Printer(self._colour, prefixed=not self._wanted or len(nodes) > 1)
        for node in nodes:
            for container, path in logs[node.id].items():
                for line in self._new_lines(path, whole=whole):
                    printer.line(node.display_name, container, line)
        sys.stdout.flush()

    def _logs(self, run: RunState) -> dict[str, dict[str, Path]]:
        """For each step with a log that log, and those of the containers beside it by name."""
        found: dict[str, dict[str, Path]] = {}
        for path in sorted(self._place(run.name).parent.glob("*.log"), key=lambda path: path.stem):
            identity, _, container = path.stem.rpartition(".")
            if path.stem in run.nodes:
                found.setdefault(path.stem, {})[""] = path
            elif identity in run.nodes:
                found.setdefault(identity, {})[container] = path
        return found

    def _new_lines(self, path: Path, *, whole: bool) -> Iterator[str]:
        """One line at a time: a log may be larger than memory."""
        offset = self._offsets.get(path, 0)
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < offset:
                offset = 0  # an interrupted step began anew
            file.seek(offset)
            while line := file.readline(_LONGEST):
                if not line.endswith(b"\n") and len(line) < _LONGEST and not whole:
                    break
                offset += len(line)
                self._offsets[path] = offset
                yield line.decode("utf-8", "replace").removesuffix("\n")


def chosen(run: RunState, wanted: str, logged: list[Node]) -> list[Node]:
    """The nodes that `wanted` stands for among those that have a log: by id or name, a loop's or retry's by its own.

    Raises EngineError where there is no such step and none is to come.
    """
    from tiphys.engine import EngineError

    if not wanted:
        return logged
    found = [node for node in logged if wanted in (node.id, node.name, node.display_name)]
    found = found or [node for node in logged if node.display_name.startswith(f"{wanted}(")]
    known = any(wanted in (node.id, node.name, node.display_name) for node in run.nodes.values())
    if found or known or not run.done:
        return found
    names = ", ".join(node.display_name for node in logged) or "none ran"
    msg = f"run {run.name!r} has no step {wanted!r} (steps: {names})"
    raise EngineError(msg)
