"""`tiphys get`: one run, drawn as `argo get` does, or as data."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, add_colour, explained, in_colour

if TYPE_CHECKING:
    from tiphys.engine import RunState

_EXAMPLES = """examples:
  tiphys get continuous-training-x7k2p
  tiphys get @latest
  tiphys get @latest --node-field-selector phase=Failed
  tiphys get @latest -o json                 the Workflow in Argo's JSON
  tiphys get @latest -o summary              shorter: phases, seconds, outputs by name
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "get",
        help="one run and its steps",
        description="Show a run: what it is, then its steps as a tree.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "-o", "--output", choices=("tree", "json", "yaml", "summary"), default="tree", help="what to print"
    )
    parser.add_argument("--node-field-selector", default="", metavar="FIELD=VALUE,...", help="only these steps")
    add_colour(parser)
    add_server(parser, "get")
    parser.set_defaults(func=main)


@explained("get")
def main(args: argparse.Namespace) -> int:
    """Print the run."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.runs import find_run
    from tiphys.engine.argo_shape import workflow_json

    engine = open_engine()
    run = find_run(engine, args.run)
    show(args, run, lambda: workflow_json(run), engine.notes(run.name))
    return 0


def show(args: argparse.Namespace, run: RunState, workflow: Callable[[], dict[str, Any]], notes: list[str]) -> None:
    """Print a run as it was asked for; `workflow` gives it in Argo's JSON."""
    if args.output == "tree":
        import time

        from tiphys.engine.argo_get import draw
        from tiphys.engine.selector import parse_selector

        clauses = parse_selector(args.node_field_selector)
        print("\n".join(draw(run, time.time(), colour=in_colour(args), clauses=clauses)))
        return
    from tiphys.engine.summary import summary

    print(_text(summary(run, notes) if args.output == "summary" else workflow(), args.output))


def _text(data: dict[str, Any], output: str) -> str:
    if output == "yaml":
        import yaml

        text: str = yaml.safe_dump(data, allow_unicode=True)
        return text.rstrip("\n")
    import json

    return json.dumps(data, indent=2, ensure_ascii=False)
