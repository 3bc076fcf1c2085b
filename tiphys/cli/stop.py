"""`tiphys stop`: end a run, its exit handlers still run. `tiphys terminate` is the same without them."""

from __future__ import annotations

import argparse
from typing import Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, explained, say

_EXAMPLES = """examples:
  tiphys stop continuous-training-x7k2p
  tiphys stop @latest --node-field-selector displayName=approve --message "not this time"
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "stop",
        help="end a run, exit handlers still run",
        description="Stop a run: its steps get SIGTERM, exit handlers still run. With a selector only suspended steps "
        "fail. A run that no engine drives is brought to its end here.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--terminate", action="store_true", help="at once, without exit handlers")
    parser.add_argument(
        "--node-field-selector", default="", metavar="FIELD=VALUE,...", help="fail these suspended steps"
    )
    parser.add_argument("--message", default="", help="message of those steps")
    add_server(parser, "stop")
    parser.set_defaults(func=main)


@explained("stop")
def main(args: argparse.Namespace) -> int:
    """Ask for the stop, or do it."""
    if args.node_field_selector:
        return _fail_steps(args)
    return end(args.run, terminate=args.terminate)


def end(wanted: str, *, terminate: bool) -> int:
    """Stop or terminate a run: asked of the engine that drives it, done here where none does."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.run import drive
    from tiphys.cli.runs import find_name
    from tiphys.engine.lock import is_held

    engine = open_engine()
    name = find_name(engine, wanted)
    word = "terminate" if terminate else "stop"
    if not engine.stop(name, terminate=terminate):
        say(f"run {name} has ended already")
        return 0
    if engine.drives(name):
        say(f"asked {name} to {word}")
    elif is_held(engine.state):
        say(f"{name} will {word} when `tiphys resume {name}` goes on with it: an engine drives {engine.driven()} now")
    else:
        drive(engine, name)
    return 0


def _fail_steps(args: argparse.Namespace) -> int:
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.runs import find_run
    from tiphys.engine.control import failing

    engine = open_engine()
    run = find_run(engine, args.run)
    nodes = failing(run, args.node_field_selector)
    for node in nodes:
        engine.ask(run.name, {"kind": "resume", "node": node.id, "phase": "Failed", "message": args.message})
    names = ", ".join(node.display_name for node in nodes)
    say(f"asked {run.name} to fail {names}" if nodes else f"no step of {run.name} that matches waits any more")
    return 0
