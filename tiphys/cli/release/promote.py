"""`tiphys release promote`: what staging serves and was proven goes into production, as the step ``promote`` does it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tiphys.cli.release.access import BY_HAND, add_way, asker, ledger, the_one

if TYPE_CHECKING:
    import argparse

    from tiphys.release.promotion import Promotion
    from tiphys.release.records import Recorded

_EXAMPLES = """examples:
  tiphys release promote taxi_eta
  tiphys release promote taxi_eta --reason "the storm is over" --json
"""


def add_parser(ways: Any) -> None:
    """Declare it."""
    about = "release into production what staging and the canary proved"
    way = add_way(ways, "promote", about, _EXAMPLES, main)
    way.add_argument(
        "use_case", nargs="?", default="", metavar="USE_CASE", help="which, where staging has more than one"
    )
    way.add_argument("--reason", default="promoted by hand", help="why; it stays in the ledger")
    way.add_argument(
        "--wait", type=float, default=120.0, metavar="S", help="longest wait until it serves (default: 120)"
    )


def main(arguments: argparse.Namespace) -> int:
    """Promote, and print what serves.

    Raises:
        GateError: a kind of evidence is missing or did not hold; all are named.
        ConflictError: somebody else released the use case in between.
        PermanentError: the ledger or the agent refuses it.
        RetryableError: a server is away, or the model does not serve in time.
    """
    from tiphys.cli.surroundings import settings
    from tiphys.release.promotion import Promoter, candidate
    from tiphys.release.rollback import Asked
    from tiphys.settings import PassportSettings, TrackingSettings

    there = ledger()
    use_case = the_one(there.current("staging").releases, arguments.use_case, "staging")
    tested = candidate(there, use_case)
    promoter = Promoter(there, settings(PassportSettings).key, _ask, settings(TrackingSettings))
    started = time.monotonic()
    done = promoter.promote(tested, Asked(asker(), BY_HAND, arguments.reason), seconds=arguments.wait)
    _print(done, time.monotonic() - started, as_json=arguments.json)
    return 0


def _ask(recorded: Recorded) -> None:
    from tiphys.cli.surroundings import settings
    from tiphys.serving.first_question import ask
    from tiphys.serving.gateway_client import GatewayClient
    from tiphys.settings import AskerSettings, ServingSettings

    asker = settings(AskerSettings)
    ask(recorded, settings(ServingSettings).production_http, GatewayClient(asker.url, key=asker.key))


def _print(done: Promotion, seconds: float, *, as_json: bool) -> None:
    recorded = done.recorded
    if as_json:
        found = {"changed": done.changed, "warnings": done.warnings, "seconds": round(seconds, 3)}
        print(json.dumps({**found, "release": recorded.model_dump(mode="json")}, indent=1))
        return
    if not done.changed:
        print(
            f"{recorded.model_version} is already in production (generation {recorded.generation}): nothing was changed"
        )
        return
    print(f"production serves {recorded.model_version}: generation {recorded.generation}, after {seconds:.1f} s")
    print(f"  passport {done.passport}")
    for each in done.warnings:
        print(f"  warning: {each}")
    print("  why: tiphys release why production; back: tiphys release rollback production")
