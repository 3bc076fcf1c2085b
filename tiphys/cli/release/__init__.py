"""`tiphys release`: what serves and why, promotion, rollback and proof, as the release ledger has it."""

from __future__ import annotations

import importlib
from typing import Any

from tiphys.cli.help_format import HelpFormatter

EXAMPLES = """examples:
  tiphys release show production          what production serves, and by which release
  tiphys release list                     releases, rollbacks, withdrawals and refusals, newest first
  tiphys release why production           who asked, data, code, metrics, tests, canary, signature
  tiphys release why models:/taxi_eta/4   the same of one version, be it that it was refused
  tiphys release promote taxi_eta         into production with what staging and the canary proved
  tiphys release rollback production      back to the release before, whatever else is down
  tiphys release verify production        signature, files in S3, image
"""
WAYS = ("show", "list_", "why", "promote", "rollback", "verify")
"""Modules of this package in the order of ``--help``."""


def add_parser(subparsers: Any) -> None:
    """Declare the command with its ways."""
    parser = subparsers.add_parser(
        "release",
        help="what serves where and why; promote, roll back, verify",
        description="Read the release ledger, and write it: each release is kept for ever, with who asked for it and why.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
    )
    ways = parser.add_subparsers(metavar="|".join(each.rstrip("_") for each in WAYS), required=True)
    for name in WAYS:
        importlib.import_module(f"tiphys.cli.release.{name}").add_parser(ways)
