"""`tiphys logs`: what the steps of a run printed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.engine import Engine, Node, RunState

_EXAMPLES = """examples:
  tiphys logs continuous-training-x7k2p
  tiphys logs continuous-training-x7k2p train
  tiphys logs continuous-training-x7k2p train -f
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "logs", help="what steps printed", epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN", help="its name; `tiphys list` shows all")
    parser.add_argument("node", metavar="NODE", nargs="?", default="", help="a step's name or id (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on printing until the run has ended")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Print the logs."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.run import say
    from tiphys.engine import EngineError

    engine = open_engine()
    try:
        run = engine.get(args.run)
        nodes = _nodes(run, args.node)
        if args.follow and not run.done:
            _follow(engine, args.run, args.node)
            return 0
    except EngineError as error:
        say(f"tiphys logs: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    for node in nodes:
        for line in _lines(engine.log_path(run.name, node.id), 0)[0]:
            _print(node, line, len(nodes) > 1)
    return 0


def _nodes(run: RunState, wanted: str) -> list[Node]:
    from tiphys.engine import EngineError

    pods = [node for node in run.nodes.values() if node.type in ("Pod", "Container")]
    if not wanted:
        return pods
    found = [node for node in pods if wanted in (node.id, node.name, node.display_name)]
    found = found or [node for node in pods if node.display_name.startswith(f"{wanted}(")]
    if not found and not run.done:
        return []
    if not found:
        names = ", ".join(node.display_name for node in pods) or "none ran"
        msg = f"run {run.name!r} has no step {wanted!r} (steps: {names})"
        raise EngineError(msg)
    return found


def _lines(path: Path, offset: int) -> tuple[list[str], int]:
    """The whole lines of a log from `offset` on, and where they end."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    return data.decode("utf-8", "replace").splitlines(), offset + len(data)


def _print(node: Node, line: str, several: bool) -> None:  # noqa: FBT001
    print(f"{node.display_name}: {line}" if several else line, flush=True)


def _follow(engine: Engine, name: str, wanted: str) -> None:
    """Print what is new whenever a log or the journal changes, until the run has ended."""
    offsets: dict[str, int] = {}
    for _ in _changes(engine.state, engine.log_path(name, "x").parent):
        run = engine.get(name)
        nodes = _nodes(run, wanted)
        for node in nodes:
            found, offsets[node.id] = _lines(engine.log_path(name, node.id), offsets.get(node.id, 0))
            for line in found:
                _print(node, line, len(nodes) > 1 or not wanted)
        if run.done:
            return


def _changes(*folders: Path) -> Iterator[None]:
    """Yields at once, then whenever a file in one of the folders was written to (inotify)."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    watcher = libc.inotify_init1(os.O_CLOEXEC)
    modified_or_created = 0x2 | 0x100
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        if libc.inotify_add_watch(watcher, os.fsencode(folder), modified_or_created) < 0:
            print(f"can't watch {folder}", file=sys.stderr)
    try:
        while True:
            yield
            os.read(watcher, 65536)
    finally:
        os.close(watcher)
