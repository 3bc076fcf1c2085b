"""`tiphys get`: one run, drawn as a tree."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

_EXAMPLES = """examples:
  tiphys get continuous-training-x7k2p
  tiphys get continuous-training-x7k2p -o json
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "get", help="one run, as a tree", epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN", help="its name; `tiphys list` shows all")
    parser.add_argument("-o", "--output", choices=("tree", "json"), default="tree", help="what to print")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Print the run."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.run import say
    from tiphys.engine import EngineError
    from tiphys.engine.summary import summary
    from tiphys.engine.tree import duration, lines

    engine = open_engine()
    try:
        run = engine.get(args.run)
    except EngineError as error:
        say(f"tiphys get: {error}")
        return 2
    if args.output == "json":
        print(json.dumps(summary(run, engine.notes(args.run)), indent=2, ensure_ascii=False))
        return 0
    print(f"Name:     {run.name}\nPhase:    {run.phase or 'Pending'}")
    if run.message:
        print(f"Message:  {run.message}")
    if run.finished:
        print(f"Duration: {duration(run.finished - run.started)}")
    print("\n" + "\n".join(lines(run, colour=sys.stdout.isatty())))
    return 0
