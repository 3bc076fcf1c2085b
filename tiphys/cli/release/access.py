"""What the ways of `tiphys release` share: the ledger, the names of environments and use cases, who asks."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tiphys.release.client import LedgerClient

ENVIRONMENTS = ("staging", "canary", "production")
BY_HAND = "by hand"
"""What a release made at the command line names as its run."""


def add_way(ways: Any, name: str, about: str, examples: str, function: Callable[..., int]) -> Any:
    """Declare one way; returns its parser."""
    way = ways.add_parser(name, help=about, description=about, epilog=examples, formatter_class=HelpFormatter)
    way.add_argument("--json", action="store_true", help="one JSON document for a program")
    way.set_defaults(func=function)
    return way


def ledger(*, timeout: float = 10.0, retries: int = 2) -> LedgerClient:
    """The ledger, with this machine's token."""
    from tiphys.cli.surroundings import settings
    from tiphys.release.client import LedgerClient
    from tiphys.settings import LedgerSettings

    return LedgerClient(settings(LedgerSettings), timeout=timeout, retries=retries)


def trusted_keys() -> tuple[str, ...]:
    """The keys that passports may be signed with, from the environment or the stack on this machine."""
    from tiphys.cli.surroundings import settings
    from tiphys.release.passport import trusted
    from tiphys.settings import TrustSettings

    return trusted(settings(TrustSettings).public_keys)


def asker() -> str:
    """Who asks: the person at this command line."""
    try:
        return f"{getpass.getuser()} at the command line"
    except (OSError, KeyError):
        return "somebody at the command line"


def the_one(found: Iterable[str], named: str, where: str) -> str:
    """Choose the use case: the named one, or the only one there is.

    Raises:
        PermanentError: there is none of that name, none at all, or more than one to choose from.
    """
    from tiphys.errors import PermanentError

    known = sorted(found)
    fits = [each for each in known if named in {each, each.rpartition(".")[2]}] if named else known
    if len(fits) == 1:
        return fits[0]
    if not known:
        message = f"nothing was released into {where} yet: tiphys run continuous-training"
        raise PermanentError(message)
    listed = ", ".join(each.rpartition(".")[2] for each in known)
    wrong = f"no use case {named!r}" if named else "more than one use case"
    message = f"{where} has {wrong}; there is {listed}"
    raise PermanentError(message)
