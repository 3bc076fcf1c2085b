"""`tiphys env`: the variables that a step gets, to run one by hand."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from tiphys.cli.help_format import HelpFormatter

_EXAMPLES = """examples:
  eval "$(tiphys env etl)" && python -m components.etl --help
  (eval "$(tiphys env train)"; python -m components.train --inputs inputs.json)
  eval "$(tiphys env argo)" && argo list        for Argo's own command line, and for Hera
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "env",
        help="the variables that a step gets, to run one by hand",
        description="Print export lines: addresses from ConfigMap 'tiphys', credentials from 'tiphys-COMPONENT'.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "component", metavar="COMPONENT", help="a component, a service (cli, engine, ledger, ...), or argo"
    )
    parser.set_defaults(func=main)


def main(arguments: argparse.Namespace) -> int:
    """Print them.

    Raises:
        SettingsError: there is no such component, or no stack was ever started here.
    """
    from tiphys.settings import stack_settings
    from tiphys.stack import environment
    from tiphys.step import contracts

    name = arguments.component.replace("-", "_")
    for variable, value in sorted(environment(stack_settings(), contracts(), name).items()):
        print(f"export {variable}={shlex.quote(value)}")
    return 0
