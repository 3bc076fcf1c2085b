"""`tiphys resume`: go on with an interrupted run, or let a suspended one go on."""

from __future__ import annotations

import argparse
from typing import Any

_EXAMPLES = """examples:
  tiphys resume continuous-training-x7k2p
  tiphys resume approval-4kd2n --node approve -p verdict=yes
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "resume",
        help="go on with an interrupted or suspended run",
        description="Go on with a run whose engine is gone; finished steps are not run again. "
        "If an engine drives the run, its suspended steps are resumed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="its name; `tiphys list` shows all")
    parser.add_argument("--node", default="", help="resume only this suspended step")
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="a supplied output")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Resume, and drive the run to its end if no engine does."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.run import drive, parse_parameters, say
    from tiphys.engine import EngineError
    from tiphys.engine.lock import is_held

    engine = open_engine()
    try:
        run = engine.get(args.run)
        if run.done:
            say(f"run {args.run} has ended: {run.phase}: `tiphys retry {args.run}` runs what failed again")
            return 0 if run.phase == "Succeeded" else 1
        matches = (node.id for node in run.nodes.values() if args.node and args.node in (node.id, node.display_name))
        if args.node or args.parameter or is_held(engine.state):
            engine.resume_suspended(args.run, next(matches, args.node), parse_parameters(args.parameter, None))
        if is_held(engine.state):
            say(f"asked the engine that drives {args.run} to resume it")
            return 0
        return drive(engine, args.run)
    except EngineError as error:
        say(f"tiphys resume: {error}")
        return 2
