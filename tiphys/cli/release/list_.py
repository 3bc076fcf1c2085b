"""`tiphys release list`: releases, rollbacks, withdrawals and refusals in one history."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from tiphys.cli.release.access import ENVIRONMENTS, add_way, ledger
from tiphys.cli.release.telling import reasons

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from tiphys.release.client import LedgerClient
    from tiphys.release.records import Recorded

_EXAMPLES = """examples:
  tiphys release list                   everything, newest first
  tiphys release list production        what production was released, and what was kept out of it
  tiphys release list staging --limit 5 --json
A terminal gets the beginning of a long reason: a pipe, --json and 'tiphys release why' have it whole.
"""
_LEAST = 40
"""Characters of a reason that are shown however narrow the terminal is."""


def add_parser(ways: Any) -> None:
    """Declare it."""
    about = "releases, rollbacks, withdrawals and refusals, newest first"
    way = add_way(ways, "list", about, _EXAMPLES, main)
    way.add_argument("environment", nargs="?", choices=ENVIRONMENTS, metavar="ENV", help="of one environment alone")
    way.add_argument("--limit", type=int, default=50, metavar="N", help="how many (default: 50)")


def main(arguments: argparse.Namespace) -> int:
    """Print one line for each."""
    there = ledger()
    wanted = (arguments.environment,) if arguments.environment else ENVIRONMENTS
    events = [event for each in wanted for event in _of_environment(there, each, arguments.limit)]
    if arguments.environment in {None, "production"}:
        events += _kept_out(there, arguments.limit)
    events = sorted(events, key=lambda each: str(each["made_at"]), reverse=True)[: arguments.limit]
    if arguments.json:
        print(json.dumps(events, indent=1))
        return 0
    if not events:
        print("nothing was released yet: tiphys run continuous-training")
        return 0
    print_table(events)
    return 0


def print_table(events: list[dict[str, Any]]) -> None:
    """One line each; on a terminal a reason that is longer is cut, because `why` has it whole."""
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    names = {
        "MODEL": [str(each["model_version"]) for each in events],
        "ASKED BY": [str(each["asked_by"] or each["run"]) for each in events],
    }
    model, by = (max(map(len, [name, *found])) for name, found in names.items())
    print(
        f"{'MADE (UTC)':<19}  {'WHERE':<10}  {'GEN':>3}  {'WHAT':<10}  {'MODEL':<{model}}  {'ASKED BY':<{by}}  BECAUSE"
    )
    for each, version, asked_by in zip(events, *names.values(), strict=True):
        made = str(each["made_at"])[:19].replace("T", " ")
        first = (
            f"{made}  {each['environment'] or '-':<10}  {each['generation'] or '':>3}  {each['what']:<10}  "
            f"{version:<{model}}  {asked_by:<{by}}  "
        )
        print(first + _cut(str(each["because"]), max(_LEAST, wide - len(first)) if wide else 0))


def _cut(text: str, wide: int) -> str:
    return text if not wide or len(text) <= wide else text[: wide - 1] + "…"


def _of_environment(there: LedgerClient, environment: str, limit: int) -> Iterator[dict[str, Any]]:
    outcomes = {(each.generation, each.state): each for each in there.outcomes(environment, limit)}
    for each in there.history(environment, limit):
        refused = outcomes.get((each.generation, "failed"))
        served = (each.generation, "serving") in outcomes
        what = "refused" if refused and not served else each.kind
        because = f"its agent: {refused.message}" if refused and not served else _traffic(each) + each.reason
        yield {**each.model_dump(mode="json"), "what": what, "because": because}


def _traffic(release: Recorded) -> str:
    """What tells the releases of one canary apart."""
    if release.environment != "canary" or release.kind != "release":
        return ""
    return f"{release.share:.0%} of the riders, {release.shadow:.0%} as a shadow: "


def _kept_out(there: LedgerClient, limit: int) -> Iterator[dict[str, Any]]:
    """Evidence that did not hold: what kept a version out of production."""
    for each in there.evidence(limit=limit):
        if not each.held:
            found = each.model_dump(mode="json")
            yield {
                **found,
                "environment": "",
                "generation": 0,
                "what": "refused",
                "because": f"{each.kind}: {reasons(each)}",
            }
