"""`tiphys retrain`: ask the governor for a training, as a person."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter

if TYPE_CHECKING:
    from tiphys.settings import GovernorSettings
    from tiphys.watch.governor_client import Told

_EXAMPLES = """examples:
  tiphys retrain taxi_eta --reason "the bridge is closed until June"
  tiphys retrain taxi_eta --reason "new zones" --wait 0      ask, and do not wait for the answer
"""
_LOOK_EVERY = 0.2


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "retrain",
        help="ask the governor for a training",
        description="Ask the governor for a training of a use case. A person may ask within the cool-down, but not while one that "
        "the governor started runs, nor over the budget. Exit code 0: it starts; 1: it does not, and why is printed.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("use_case", metavar="USE_CASE", help="a folder of usecases/, or a dotted package")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why, for the record")
    parser.add_argument(
        "--wait", type=float, default=30.0, metavar="S", help="longest wait for the answer (default: 30)"
    )
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Ask, wait for the decision, and print it.

    Raises:
        PermanentError: the request has not the form of one, or the governor refuses it.
        RetryableError: the governor does not answer.
    """
    from tiphys.cli.governed import verdict
    from tiphys.cli.surroundings import settings
    from tiphys.settings import GovernorSettings

    told = _asked(args, settings(GovernorSettings))
    print(verdict(told))
    print(f"next: tiphys watch {told.run}" if told.run else f"next: tiphys events why {told.id}")
    return 0 if told.verdict == "yes" or not args.wait else 1


def _asked(args: argparse.Namespace, settings: GovernorSettings) -> Told:
    from pydantic import ValidationError

    from tiphys.cli.release.access import asker
    from tiphys.errors import PermanentError
    from tiphys.watch import governor_client
    from tiphys.watch.alerts import Request

    try:
        request = Request(use_case=args.use_case, asked_by=asker(), reason=args.reason)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        message = f"the governor takes no such request: {wrong}"
        raise PermanentError(message) from None
    identity = governor_client.event_id("by hand", request.asked_by, str(time.time_ns()))
    told = governor_client.send(settings, request, identity).event
    until = time.monotonic() + args.wait
    while time.monotonic() < until and told.verdict == "wait":
        time.sleep(_LOOK_EVERY)
        told = governor_client.event(settings, identity)
    return told
