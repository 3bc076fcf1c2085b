"""``tiphys simulate``: make raw files of a use case where there are no real ones."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tiphys.cli.help_format import HelpFormatter

RECIPE = ".recipe.json"
"""What the files of the folder were made with; hidden, so that it is not taken for data."""


def add_parser(subparsers: Any) -> None:
    """Declare the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "simulate",
        help="make raw files, as if from the real world",
        description="Make raw files in the schema of a use case; the same arguments make the same bytes.",
        epilog="examples:\n  tiphys simulate trips/\n  tiphys simulate trips/ --rows 20000 --months 2018-10..2019-02",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder to write to; made if it is not there")
    parser.add_argument("--use-case", default="taxi_eta", help="whose simulator (default: %(default)s)")
    parser.add_argument("--rows", type=int, help="rows in all months together (default: the simulator's own)")
    parser.add_argument("--months", help="FIRST..LAST, like 2018-01..2019-06 (default: the simulator's own)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes another world (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="do nothing if the folder was made with these arguments")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the files and tell where they are."""
    options = _options(arguments)
    recipe = json.dumps({"use_case": arguments.use_case, **options}, sort_keys=True)
    mark = arguments.folder / RECIPE
    if arguments.keep and mark.is_file() and mark.read_text(encoding="utf-8") == recipe:
        print(f"{arguments.folder} has these simulated files already")
        return 0
    _make(arguments, options)
    mark.write_text(recipe, encoding="utf-8")
    print(f"simulated files are in {arguments.folder}; run them with: make run DATA={arguments.folder}")
    return 0


def _make(arguments: argparse.Namespace, options: dict[str, Any]) -> None:
    from tiphys.errors import PermanentError, SettingsError
    from tiphys.usecase import UseCase

    simulate = UseCase(arguments.use_case).part("simulator").simulate
    try:
        simulate(arguments.folder, **options)
    except (ValueError, TypeError) as error:
        message = f"use case {arguments.use_case!r} cannot simulate that: {error}"
        raise SettingsError(message) from error
    except OSError as error:
        message = f"{arguments.folder} cannot be written: {error.strerror}; give another folder"
        raise PermanentError(message) from error


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {"seed": arguments.seed}
    if arguments.rows is not None:
        options["rows"] = arguments.rows
    if arguments.months is not None:
        first, _, last = arguments.months.partition("..")
        options |= {"first_month": first, "last_month": last or first}
    return options
