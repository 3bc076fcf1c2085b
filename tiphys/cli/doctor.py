"""`tiphys doctor`: what this machine lacks, and how to get it."""

from __future__ import annotations

import argparse
from typing import Any

from tiphys.cli.help_format import HelpFormatter

_EXAMPLES = """examples:
  tiphys doctor          every check with its remedy; exit code 1 if something needed is missing
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="what this machine lacks, and how to get it",
        description="Check what the embedded servers and the steps need of this machine.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(func=main)


def main(_arguments: argparse.Namespace) -> int:
    """Print every check; 1 if something needed is missing."""
    from tiphys.settings import stack_settings
    from tiphys.stack.doctor import doctor

    signs = {"good": "ok", "advice": "note", "missing": "MISSING"}
    checks = doctor(stack_settings())
    for each in checks:
        print(f"{signs[each.verdict]:<8} {each.name:<14} {each.found}")
        if each.remedy:
            print(f"{'':<23} -> {each.remedy}")
    return 1 if any(each.verdict == "missing" for each in checks) else 0
