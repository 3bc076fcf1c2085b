"""Who may do what with the ledger: bearer tokens and their roles.

``read`` reads; ``staging`` writes staging, too; ``production`` writes both; ``agent`` reads and reports what it
observes, nothing else. Only digests of the tokens are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Literal, get_args

from tiphys.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["read", "staging", "production", "agent"]

_MAY_WRITE: Mapping[Role, tuple[str, ...]] = {
    "read": (),
    "agent": (),
    "staging": ("staging",),
    "production": ("staging", "production"),
}


class Tokens:
    """Tokens of the ledger with their roles."""

    def __init__(self, text: str) -> None:
        """Read them from a JSON object ``{token: role}``.

        Raises:
            SettingsError: it is no such object; the message shows no token.
        """
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            found = None
        if not isinstance(found, dict) or not found or not all(role in get_args(Role) for role in found.values()):
            message = "TIPHYS_LEDGER_TOKENS must be a JSON object {token: role}, roles: " + ", ".join(get_args(Role))
            raise SettingsError(message)
        self._roles: dict[bytes, Role] = {_digest(token): role for token, role in found.items()}

    def role(self, authorization: str) -> Role | None:
        """Return the role of an ``Authorization: Bearer TOKEN`` header; None for no or an unknown token."""
        scheme, _, token = authorization.partition(" ")
        given = _digest(token.strip())
        found: Role | None = None
        for digest, role in self._roles.items():
            if hmac.compare_digest(digest, given):
                found = role
        return found if scheme.lower() == "bearer" else None


def may_write(role: Role, environment: str) -> bool:
    """Say whether that role may release into that environment."""
    return environment in _MAY_WRITE[role]


def may_observe(role: Role) -> bool:
    """Say whether that role may report what is served."""
    return role == "agent"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
