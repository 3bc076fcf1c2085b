"""``tiphys drill``: the whole loop rehearsed on real servers, under a clock that runs fast."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tiphys.cli.help_format import HelpFormatter

_EXAMPLES = """examples:
  tiphys drill                         the use case's first scenario, on a stack of its own
  tiphys drill --list                  the scenarios
  tiphys drill slower_streets --keep   and leave the servers up afterwards, to look around
  tiphys drill --summary drill.json    and write the timeline for a program
"""
SPEED = 3600.0
"""How many times faster the governor's clock runs: an hour of its cool-down passes in a second."""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "drill",
        help="rehearse the whole loop: drift, alert, decision, training, canary, production",
        description="Rehearse the loop end to end on real servers, beside those that run: a first model, a calm time, a drift that "
        "is noticed, decided on, trained for, proven and shipped, and four things that must not get through. Exit code 0 only "
        "if every link holds.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("scenario", nargs="?", default="", metavar="SCENARIO", help="what changes (default: the first)")
    parser.add_argument("--use-case", default="taxi_eta", help="whose world (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="list the scenarios, and do nothing else")
    parser.add_argument("--keep", action="store_true", help="leave the rehearsal's servers up at its end")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the timeline as JSON")
    parser.add_argument("--no-color", action="store_true", help="no colours, also on a terminal")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """List, or rehearse."""
    from tiphys.usecase import UseCase

    use_case = UseCase(args.use_case)
    scenarios = use_case.part("scenarios").SCENARIOS
    if args.list:
        width = max(map(len, scenarios))
        for name, each in scenarios.items():
            print(f"{name:<{width}}  {each.story}")
        return 0
    return _rehearse(args, scenarios)


def _rehearse(args: argparse.Namespace, scenarios: Any) -> int:
    import contextlib
    import json
    import sys

    from tiphys.cli.drill.chain import Chain
    from tiphys.cli.drill.stage import Stage
    from tiphys.cli.drill.story import LinkError, Story
    from tiphys.cli.surroundings import program
    from tiphys.errors import SettingsError
    from tiphys.settings import TerminalSettings, load, stack_settings

    name = args.scenario or next(iter(scenarios))
    if name not in scenarios:
        message = f"no scenario {name!r}; there are {', '.join(scenarios)}"
        raise SettingsError(message)
    terminal = sys.stdout.isatty()
    story = Story(colour=terminal and not args.no_color and not load(TerminalSettings).no_color, live=terminal)
    stage = Stage.make(stack_settings(), SPEED)
    print(f"drill {name} with {args.use_case}, on servers of its own in {stage.settings.home}")
    print(scenarios[name].story)
    chain = Chain(stage, story, args.use_case, scenarios[name])
    try:
        with contextlib.suppress(LinkError):  # the story says which link, and why
            chain.rehearse()
    finally:
        if args.summary is not None:
            args.summary.write_text(json.dumps(story.record(), indent=2) + "\n", encoding="utf-8")
        if not args.keep:
            stage.down()
    held = all(each.held for each in story.links)
    links = sum(each.held for each in story.links)
    print(
        f"\n{'every link held' if held else 'a link broke'}: {links} of {len(story.links)} after {story.elapsed:.0f} s"
    )
    home = stage.settings.home
    kept = f"; its servers are up: TIPHYS_HOME={home} TIPHYS_PORT_BASE={stage.settings.port_base} {program()} status"
    print(f"its state is in {home}{kept if args.keep else ''}")
    return 0 if held else 1
