"""`tiphys release`: what should serve, what does, and what did before, as the release ledger has it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter

if TYPE_CHECKING:
    from tiphys.release.records import Environment, Recorded

_EXAMPLES = """examples:
  tiphys release show production      what production serves, and by which release
  tiphys release list staging         every release of staging, newest first
  tiphys release list production --json
"""
_ENVIRONMENTS = ("staging", "production")


def add_parser(subparsers: Any) -> None:
    """Declare the command with its two ways of looking."""
    parser = subparsers.add_parser(
        "release",
        help="what serves where, and what was released",
        description="Read the release ledger.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    ways = parser.add_subparsers(metavar="show|list", required=True)
    for name, about, function in (
        ("show", "what an environment serves now", _show),
        ("list", "an environment's releases, newest first", _list),
    ):
        way = ways.add_parser(
            name,
            help=about,
            description=about,
            epilog=_EXAMPLES,
            formatter_class=HelpFormatter,
        )
        way.add_argument("environment", choices=_ENVIRONMENTS, metavar="ENV", help="staging or production")
        way.add_argument("--json", action="store_true", help="one JSON document instead of a table")
        way.set_defaults(func=function)


def _ledger() -> Any:
    from tiphys.cli.surroundings import settings
    from tiphys.release.client import LedgerClient
    from tiphys.settings import LedgerSettings

    return LedgerClient(settings(LedgerSettings))


def _show(arguments: argparse.Namespace) -> int:
    found: Environment = _ledger().current(arguments.environment)
    if arguments.json:
        print(found.model_dump_json(indent=1))
        return 0
    if not found.releases:
        print(f"nothing was released into {arguments.environment} yet: tiphys run continuous-training")
    for release in found.releases.values():
        _print_release(release, found)
    for services in _ledger().services(arguments.environment):
        print(f"services of {arguments.environment}")
        print(f"  {'git commit':<16} {services.revision}")
        print(f"  {'generation':<16} {services.generation}")
        for name, image in sorted(services.images.items()):
            print(f"  {name:<16} {image}")
    return 0


def _print_release(release: Recorded, environment: Environment) -> None:
    observed = environment.observed.get(release.model)
    state = "not yet seen by its agent"
    if observed is not None and observed.generation == release.generation:
        state = f"{observed.state}: {observed.message}"
    rows = {
        "state": state,
        "answers with": (observed.version if observed else "") or "nothing",
        "model": release.model_version,
        "generation": release.generation,
        "since": f"{release.made_at:%Y-%m-%d %H:%M:%S} UTC",
        "by run": release.run,
        "because": release.reason,
        "repository": release.repository,
        "manifest sha256": release.manifest_sha256,
        "image": release.image or "none: released before there were images",
    }
    print(f"{release.use_case} in {environment.environment}")
    for name, value in rows.items():
        print(f"  {name:<16} {value}")


def _list(arguments: argparse.Namespace) -> int:
    found: list[Recorded] = _ledger().history(arguments.environment)
    if arguments.json:
        print(json.dumps([each.model_dump(mode="json") for each in found], indent=1))
        return 0
    print(f"{'GENERATION':>10}  {'MADE (UTC)':<19}  {'MODEL':<28}  {'RUN':<32}  BECAUSE")
    for each in found:
        made = f"{each.made_at:%Y-%m-%d %H:%M:%S}"
        print(f"{each.generation:>10}  {made:<19}  {each.model_version:<28}  {each.run:<32}  {each.reason}")
    return 0
