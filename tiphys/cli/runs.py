"""Finds the run that a person means, and says what went wrong in one line."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tiphys.engine import Engine, RunState

LATEST = "@latest"
RUN_HELP = "its name, or @latest; `tiphys list` shows all"
REFUSED = 2
"""Exit code for what can't be done; 1 is for a run that did not succeed."""

Main = Callable[[argparse.Namespace], int]


def say(text: str) -> None:
    """One line for a person, beside the output."""
    print(text, file=sys.stderr, flush=True)


def explained(command: str) -> Callable[[Main], Main]:
    """Make a command's `main` answer a refusal of engine or server with its one line and exit code 2."""

    def decorate(main: Main) -> Main:
        @functools.wraps(main)
        def guarded(args: argparse.Namespace) -> int:
            from tiphys.cluster.errors import ClusterError
            from tiphys.engine.errors import EngineError

            try:
                return main(args)
            except (EngineError, ClusterError) as error:
                say(f"tiphys {command}: {error}")
                return REFUSED

        return guarded

    return decorate


def find_run(engine: Engine, name: str) -> RunState:
    """The run of that name. Raises UnknownRunError that names the nearest."""
    return engine.get(find_name(engine, name))


def find_name(engine: Engine, name: str) -> str:
    """The name of the run that `name` stands for. Raises UnknownRunError that names the nearest."""
    from tiphys.engine.errors import UnknownRunError

    known = [summary.name for summary in engine.runs()]
    if name == LATEST and known:
        return known[0]
    if name in known:
        return name
    msg = nearest(name, known, "here")
    raise UnknownRunError(msg)


def nearest(name: str, known: list[str], where: str) -> str:
    """Say that a run is not known, and which one may be meant."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not known:
        return f"run {name!r} is not known {where}: there is no run yet; `tiphys run FILE` makes one"
    if near:
        return f"run {name!r} is not known {where}: did you mean {near[0]!r}? `tiphys list` shows all"
    return f"run {name!r} is not known {where} (the latest: {', '.join(known[:3])}): `tiphys list` shows all"


def add_colour(parser: Any) -> None:
    """Declare --no-color."""
    parser.add_argument("--no-color", action="store_true", help="no colours, as with NO_COLOR in the environment")


def add_containers(parser: Any, default: str) -> None:
    """Declare --containers; `default` says what counts without it."""
    parser.add_argument(
        "--containers",
        nargs="?",
        const="*",
        metavar="PATTERN,...",
        help="run steps in their images, those whose image matches (alone: all); needs root, buildah and runc "
        f"(default: {default})",
    )


def patterns(text: str | None) -> list[str] | None:
    """The patterns of --containers or TIPHYS_CONTAINERS; None stays None."""
    return None if text is None else [pattern for each in text.split(",") if (pattern := each.strip())]


def in_colour(args: argparse.Namespace, stream: TextIO | None = None) -> bool:
    """Whether to paint: on a terminal, and nobody asked not to."""
    if args.no_color or not (stream or sys.stdout).isatty():
        return False
    from tiphys.settings import TerminalSettings, load

    return not load(TerminalSettings).no_color
