"""Who may do what with the ledger: bearer tokens and what they are good for.

``read`` reads; ``evidence`` leaves evidence, too; ``staging`` and ``canary`` also write the environment of their name, and
``production`` all three; ``agent:ENVIRONMENT`` reads, reports what it observes in its environment, and takes away there: it may write
that it went back to what served before, or that a canary's traffic ended, because a rollback has to be possible while the
ledger is away. Only digests of the tokens are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from tiphys.errors import SettingsError
from tiphys.release.records import ENVIRONMENTS, ReleaseKind

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["read", "evidence", "staging", "canary", "production", "agent"]

_MAY_WRITE: Mapping[Role, tuple[str, ...]] = {
    "read": (),
    "evidence": (),
    "agent": (),
    "staging": ("staging",),
    "canary": ("canary",),
    "production": ("staging", "canary", "production"),
}
_FORM = "{token: read|evidence|staging|canary|production|agent:ENVIRONMENT}"


@dataclass(frozen=True)
class Grant:
    """What one token is good for."""

    role: Role
    environment: str = ""
    """The one that an agent stands in; empty for all other roles."""

    def __str__(self) -> str:
        """As it is written in the settings."""
        return f"{self.role}:{self.environment}" if self.environment else self.role


class Tokens:
    """Tokens of the ledger with what they are good for."""

    def __init__(self, text: str) -> None:
        """Read them from a JSON object ``{token: role}``, an agent's role with its environment: ``agent:staging``.

        Raises:
            SettingsError: it is no such object; the message shows no token.
        """
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            found = None
        grants = [_grant(each) for each in found.values()] if isinstance(found, dict) else []
        if not grants or None in grants:
            message = f"TIPHYS_LEDGER_TOKENS must be a JSON object {_FORM}, environments: {', '.join(ENVIRONMENTS)}"
            raise SettingsError(message)
        self._grants = {_digest(token): grant for token, grant in zip(found, grants, strict=True) if grant is not None}

    def grant(self, authorization: str) -> Grant | None:
        """Return what an ``Authorization: Bearer TOKEN`` header allows; None for no or an unknown token."""
        scheme, _, token = authorization.partition(" ")
        given = _digest(token.strip())
        found: Grant | None = None
        for digest, grant in self._grants.items():
            if hmac.compare_digest(digest, given):
                found = grant
        return found if scheme.lower() == "bearer" else None


def may_write(grant: Grant, environment: str, kind: ReleaseKind = "release") -> bool:
    """Say whether a release of that kind may be written into that environment."""
    return environment in _MAY_WRITE[grant.role] or (kind != "release" and may_observe(grant, environment))


def may_testify(grant: Grant) -> bool:
    """Say whether evidence may be left."""
    return grant.role in {"evidence", "staging", "canary", "production"}


def may_vouch(grant: Grant) -> bool:
    """Say whether passports may be left."""
    return grant.role == "production"


def may_observe(grant: Grant, environment: str) -> bool:
    """Say whether it may be reported what that environment serves."""
    return grant == Grant("agent", environment)


def _grant(text: Any) -> Grant | None:
    """Read ``ROLE`` or ``agent:ENVIRONMENT``; None for anything else."""
    role, _, environment = text.partition(":") if isinstance(text, str) else ("", "", "")
    if role not in get_args(Role) or environment not in (ENVIRONMENTS if role == "agent" else ("",)):
        return None
    grant = Grant(cast("Role", role), environment)
    return grant if str(grant) == text else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
