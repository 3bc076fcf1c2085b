"""`tiphys release verify`: whether a release is what its passport says: signature, evidence, files, image, and the figures."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from tiphys.cli.release.access import ENVIRONMENTS, add_way, ledger, the_one, trusted_keys

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from tiphys.cli.release.proofs import Proof
    from tiphys.release.client import LedgerClient
    from tiphys.release.records import Environment, Recorded

_EXAMPLES = """examples:
  tiphys release verify                       what production serves
  tiphys release verify models:/taxi_eta/4    the last release of a version
  tiphys release verify production --recompute
                                              and the metrics once more, from the named data and model
"""
TOLERANCE = 0.001
"""Share that a figure may differ by when it is computed again: other processors sum up in another order."""


def add_parser(ways: Any) -> None:
    """Declare it."""
    about = "check signature, evidence, files in S3 and image; exit code 1 if anything differs"
    way = add_way(ways, "verify", about, _EXAMPLES, main)
    way.add_argument(
        "what",
        nargs="?",
        default="production",
        metavar="ENV|models:/NAME/N",
        help="what to check (default: production)",
    )
    way.add_argument("--use-case", default="", metavar="NAME", help="which, where an environment has more than one")
    way.add_argument("--recompute", action="store_true", help="compute the metrics again and compare them")
    way.add_argument(
        "--tolerance", type=float, default=TOLERANCE, metavar="SHARE",
        help=f"most that a figure may differ by, as a share of it (default: {TOLERANCE:g})",
    )  # fmt: skip


def main(arguments: argparse.Namespace) -> int:
    """Check everything, and print a line for each check.

    Raises:
        PermanentError: there is no such release.
        RetryableError: the ledger is away.
    """
    from tiphys.cli.release import proofs

    there = ledger()
    release, environment = _chosen(there, arguments)
    checks = itertools.chain(
        proofs.of_passport(there, release, trusted_keys()),
        proofs.of_files(release),
        proofs.of_serving(release, environment),
        proofs.of_figures(there, release, arguments.tolerance) if arguments.recompute else (),
    )
    done = _json(release, checks) if arguments.json else _told(release, checks)
    return 0 if all(each.holds for each in done) else 1


def _chosen(there: LedgerClient, arguments: argparse.Namespace) -> tuple[Recorded, Environment]:
    from tiphys.errors import PermanentError

    if arguments.what in ENVIRONMENTS:
        environment = there.current(arguments.what)
        return environment.releases[the_one(environment.releases, arguments.use_case, arguments.what)], environment
    for where in ENVIRONMENTS[::-1]:
        for each in there.history(where, 1000):
            if each.model_version == arguments.what:
                return each, there.current(where)
    message = f"{arguments.what} was never released: 'tiphys release list' shows what was"
    raise PermanentError(message)


def _json(release: Recorded, checks: Iterable[Proof]) -> list[Proof]:
    done = list(checks)
    found = [{"name": each.name, "holds": each.holds, "found": each.found} for each in done]
    print(json.dumps({"release": release.model_dump(mode="json"), "checks": found}, indent=1))
    return done


def _told(release: Recorded, checks: Iterable[Proof]) -> list[Proof]:
    """Each check when it is done: to compute figures again takes a while."""
    print(f"{release.model_version} in {release.environment}, generation {release.generation}", flush=True)
    done = []
    for each in checks:
        print(f"  {'ok' if each.holds else 'NO':<3} {each.name:<22} {each.found}", flush=True)
        done.append(each)
    return done
