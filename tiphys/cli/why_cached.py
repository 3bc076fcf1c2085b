"""`tiphys why-cached`: which kept result a step used, and every part of its key."""

from __future__ import annotations

import argparse
from typing import Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.runs import RUN_HELP, explained

_EXAMPLES = """examples:
  tiphys why-cached @latest          every step that was cached
  tiphys why-cached @latest train    that step, with all parts of its key
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "why-cached",
        help="why steps were not run: what was the same",
        description="For each step whose result was an earlier one's: whose, every named part of the key, and what was found "
        "still there. Exit code 1 if none was cached.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("step", nargs="?", default="", metavar="STEP", help="only this step")
    parser.set_defaults(func=main)


@explained("why-cached")
def main(args: argparse.Namespace) -> int:
    """Print the parts."""
    from tiphys.cache.explain import last_of, why_cached
    from tiphys.cache.store import Store
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.runs import find_name, say

    engine = open_engine()
    name, store = find_name(engine, args.run), Store(engine.state)
    hits = [each for each in last_of(store.look_ups(name), args.step).values() if each.verdict == "hit"]
    for each in hits:
        print("\n".join(why_cached(store, each)))
    if not hits:
        what = f"step {args.step!r}" if args.step else "no step"
        say(
            f"{what} of {name} was {'not ' if args.step else ''}cached: `tiphys why-missed {name} {args.step}`".rstrip()
        )
    return 0 if hits else 1
