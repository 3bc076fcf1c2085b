"""`tiphys list`: the runs of this state folder."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import add_colour, explained, in_colour

if TYPE_CHECKING:
    from tiphys.engine import Engine
    from tiphys.engine.journal import Summary

_EXAMPLES = """examples:
  tiphys list
  tiphys list --running
  tiphys list --status Failed,Error --since 1d
  tiphys list --completed -o name | xargs tiphys delete
  tiphys list -l team=blue -o json
"""
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Error")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "list",
        help="the runs, the latest first",
        description="List the runs, the latest first.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    add_filters(parser)
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default: 20; 0: all)")
    parser.add_argument("-o", "--output", choices=("table", "name", "json"), default="table", help="what to print")
    add_colour(parser)
    add_server(parser, "list_")
    parser.set_defaults(func=main)


def add_filters(parser: Any) -> None:
    """Declare what `list` and `delete` choose runs by."""
    parser.add_argument("--running", action="store_true", help="those that have not ended")
    parser.add_argument("--completed", action="store_true", help="those that have ended")
    parser.add_argument("--status", default="", metavar="PHASE,...", help=f"those in one of {', '.join(_PHASES)}")
    parser.add_argument("--prefix", default="", help="those whose name begins so")
    parser.add_argument("--older", default="", metavar="AGE", help="those that ended longer ago than 10s, 5m, 3h or 7d")
    parser.add_argument("--since", default="", metavar="AGE", help="those created no longer ago than that")
    parser.add_argument("-l", "--selector", default="", metavar="K=V,...", help="those with these labels (=, !=)")


@explained("list")
def main(args: argparse.Namespace) -> int:
    """Print one line a run."""
    from tiphys.cli.engine_access import open_engine

    engine = open_engine()
    driven, served = engine.driven(), engine.served()
    empty = "" if engine.runs() else "no runs yet: `tiphys run NAME` makes one"
    show(args, filtered(engine, args), going=lambda run: served or run.name == driven, empty=empty)
    return 0


def show(args: argparse.Namespace, found: list[Summary], *, going: Callable[[Summary], bool], empty: str) -> None:
    """Print runs as they were asked for; `going` tells whether somebody drives one, `empty` why there is none at all."""
    found = found[: args.limit] if args.limit > 0 else found
    if args.output == "json":
        import json

        print(json.dumps([_row(run) for run in found], indent=2))
    elif args.output == "name":
        for run in found:
            print(run.name)
    elif not found:
        print(empty or "no run matches")
    else:
        _table(found, going, colour=in_colour(args))


def filtered(engine: Engine, args: argparse.Namespace) -> list[Summary]:
    """The runs of this machine that pass every filter of the command line. Raises EngineError."""
    return passing(engine.runs(), lambda run: run.labels, args)


def passing(
    runs: list[Summary], labels: Callable[[Summary], dict[str, str]], args: argparse.Namespace
) -> list[Summary]:
    """Those of `runs` that pass every filter of the command line. Raises EngineError for one that makes no sense."""
    from tiphys.engine.durations import seconds
    from tiphys.engine.errors import EngineError

    phases = {phase.strip() for phase in args.status.split(",") if phase.strip()}
    if unknown := phases - set(_PHASES):
        msg = f"--status {', '.join(sorted(unknown))}: the phases are {', '.join(_PHASES)}"
        raise EngineError(msg)
    now, ended = time.time(), _PHASES[2:]
    older, since = (seconds(age) if age else None for age in (args.older, args.since))
    wanted = _labels(args.selector)
    return [
        run
        for run in runs
        if (not args.running or run.phase not in ended)
        and (not args.completed or run.phase in ended)
        and (not phases or (run.phase or "Pending") in phases)
        and run.name.startswith(args.prefix)
        and (older is None or (run.finished and now - run.finished > older))
        and (since is None or now - run.created <= since)
        and (not wanted or _has(labels(run), wanted))
    ]


def _labels(selector: str) -> list[tuple[str, bool, str]]:
    from tiphys.engine.errors import EngineError

    found = []
    for part in filter(None, (part.strip() for part in selector.split(","))):
        match = re.fullmatch(r"([^=!]+)(!=|==|=)(.*)", part)
        if match is None:
            msg = f"--selector {part!r}: write KEY=VALUE or KEY!=VALUE"
            raise EngineError(msg)
        found.append((match[1].strip(), match[2] != "!=", match[3].strip()))
    return found


def _has(labels: dict[str, str], wanted: list[tuple[str, bool, str]]) -> bool:
    return all((labels.get(key) == value) == equal for key, equal, value in wanted)


def _table(runs: list[Summary], going: Callable[[Summary], bool], *, colour: bool) -> None:
    from tiphys.engine.ages import short
    from tiphys.engine.tree import SYMBOLS, duration, paint

    width = max(len(run.name) for run in runs)
    print(f"  {'NAME':<{width}}  {'STATUS':<12} {'CREATED':<20} {'AGE':<5} DURATION")
    for run in runs:
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created))
        unfinished, driven = not run.finished and run.phase not in _PHASES[2:], going(run)
        took = "" if unfinished and not driven else duration((run.finished or time.time()) - run.created)
        status = "Interrupted" if run.phase == "Running" and not driven else run.phase or "Pending"
        symbol = paint(SYMBOLS.get(run.phase, "◷"), run.phase, colour)
        age = short(time.time() - run.created)
        print(f"{symbol} {run.name:<{width}}  {status:<12} {created:<20} {age:<5} {took}".rstrip())


def _row(run: Summary) -> dict[str, Any]:
    """One run for a program; times in seconds since the epoch, 0 for what is not yet."""
    return {"name": run.name, "phase": run.phase or "Pending", "created": run.created, "finished": run.finished}
