"""`tiphys resume`: go on with an interrupted run, or let a suspended one go on."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, add_colour, explained, in_colour, say

if TYPE_CHECKING:
    from tiphys.engine import Engine, RunState

_EXAMPLES = """examples:
  tiphys resume continuous-training-x7k2p
  tiphys resume approval-4kd2n --node approve -p verdict=yes
  tiphys resume @latest --node-field-selector inputs.parameters.stage.value=two
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "resume",
        help="go on with an interrupted or suspended run",
        description="Let the suspended steps of a run go on. A run whose engine is gone is driven on here, to its end; "
        "finished steps are not run again.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--node", default="", metavar="STEP", help="resume only this suspended step")
    parser.add_argument("--node-field-selector", default="", metavar="FIELD=VALUE,...", help="resume only these steps")
    parser.add_argument(
        "-p", "--parameter", "--set", action="append", default=[], metavar="K=V", help="a value that the step waits for"
    )
    add_colour(parser)
    add_server(parser, "resume")
    parser.set_defaults(func=main)


@explained("resume")
def main(args: argparse.Namespace) -> int:
    """Resume, and drive the run to its end if no engine does."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.run import drive
    from tiphys.cli.runs import find_run
    from tiphys.engine.lock import is_held

    engine = open_engine()
    run = find_run(engine, args.run)
    if run.done:
        say(f"run {run.name} has ended: {run.phase}: `tiphys retry {run.name}` runs what failed again")
        return 0 if run.phase == "Succeeded" else 1
    driven = engine.drives(run.name)
    asked = _ask(engine, run, args, driven=driven)
    if driven:
        say(f"asked {run.name} to go on: {asked}" if asked else f"{run.name} goes on: nothing waits to be resumed")
        return 0
    if is_held(engine.state):
        say(f"an engine drives {engine.driven()} now: `tiphys resume {run.name}` when it has ended")
        return 1
    return drive(engine, run.name, colour=in_colour(args))


def _ask(engine: Engine, run: RunState, args: argparse.Namespace, *, driven: bool) -> str:
    """Write down what is to go on; what that is, in words."""
    from tiphys.cli.manifests import parse_parameters
    from tiphys.engine.control import select_suspended

    parameters = parse_parameters(args.parameter)
    selector = selector_of(run, args)
    if not (driven or selector or parameters or run.suspended):
        return ""  # an interrupted run: its suspended steps go on waiting, once an engine drives it
    waiting = select_suspended(run, selector, parameters)
    if not selector and (run.suspended or waiting):
        engine.resume_suspended(run.name, parameters=parameters)
    elif selector:
        for node in waiting:
            engine.resume_suspended(run.name, node.id, parameters)
    names = ", ".join(node.display_name for node in waiting)
    return names or ("the run" if run.suspended and not selector else "")


def selector_of(run: RunState, args: argparse.Namespace) -> str:
    """The selector of the steps that the command line means; empty for all."""
    node = f"displayName={args.node}" if args.node and args.node not in run.nodes else f"id={args.node}"
    return ",".join(filter(None, (args.node_field_selector, node if args.node else "")))
