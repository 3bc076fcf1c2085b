"""Who may send what to the governor: webhook secrets and bearer tokens, and how many events a sender may send.

A secret belongs to ``SENDER:alert``, ``SENDER:schedule`` or ``SENDER:person``: what it may send, and what its events count as. A
sender has two while one is exchanged for the other. A token is for ``read``, for the ``claim`` of a run that a yes
started, or for ``alertmanager``, which may also give it as the password of basic authentication. Only digests of tokens are kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from tiphys.errors import SettingsError
from tiphys.watch import webhooks
from tiphys.watch.governor.decide import Trigger

TokenRole = Literal["read", "alertmanager", "claim"]
RATE, BURST = 50.0, 500.0
"""Events a second that one sender may send for long, and at once."""
_SECRETS_FORM = "{whsec_BASE64: SENDER:alert|schedule|person}"
_TOKENS_FORM = "{token: read|alertmanager|claim}"
_SENDER = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Sender:
    """Who signs, and what that counts as."""

    name: str
    trigger: Trigger


class Secrets:
    """The secrets that are known, each with its sender."""

    def __init__(self, text: str) -> None:
        """Read them from a JSON object.

        Raises:
            SettingsError: it is no such object; the message shows no secret.
        """
        self._senders = [
            (webhooks.key(secret), _sender(said))
            for secret, said in _object(text, "TIPHYS_WEBHOOK_SECRETS", _SECRETS_FORM)
        ]

    def sender(self, identity: str, timestamp: str, body: bytes, signatures: str) -> Sender | None:
        """Who signed it; None for nobody that is known. As slow for every secret."""
        found: Sender | None = None
        for key, sender in self._senders:
            if webhooks.is_signed(key, identity, timestamp, body, signatures):
                found = sender
        return found


class Tokens:
    """The tokens that are known, each with its role."""

    def __init__(self, text: str) -> None:
        """Read them from a JSON object. Raises SettingsError: it is none; the message shows no token."""
        self._roles: list[tuple[bytes, TokenRole]] = []
        for token, role in _object(text, "TIPHYS_GOVERNOR_TOKENS", _TOKENS_FORM):
            if not token or role not in get_args(TokenRole):
                raise _wrong("TIPHYS_GOVERNOR_TOKENS", _TOKENS_FORM)
            self._roles.append((_digest(token), cast("TokenRole", role)))

    def role(self, authorization: str) -> TokenRole | None:
        """What the token of an ``Authorization`` header is for; None for one that is unknown, or for another scheme."""
        scheme, _, given = authorization.strip().partition(" ")
        token = given.strip() if scheme.lower() == "bearer" else _password(given) if scheme.lower() == "basic" else ""
        digest, found = _digest(token), None
        for known, role in self._roles:
            if hmac.compare_digest(known, digest):
                found = role
        return found


class Rates:
    """A bucket for each sender, which fills by itself."""

    def __init__(self, clock: Callable[[], float], rate: float = RATE, burst: float = BURST) -> None:
        """Let everybody send ``burst`` events at once, then ``rate`` a second of ``clock``."""
        self._clock, self._rate, self._burst = clock, rate, burst
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, sender: str, events: int = 1) -> float:
        """Take the room for so many events; seconds to wait where there is none, and then nothing is taken."""
        now = self._clock()
        left, then = self._left.get(sender, (self._burst, now))
        left = min(self._burst, left + max(0.0, now - then) * self._rate)
        short = min(events, self._burst) - left
        self._left[sender] = (left if short > 0 else left - events, now)
        return max(0.0, short / self._rate)


@dataclass(frozen=True)
class Door:
    """What the governor lets in."""

    secrets: Secrets
    tokens: Tokens
    rates: Rates


def _object(text: str, name: str, form: str) -> list[tuple[str, Any]]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise _wrong(name, form)
    return list(found.items())


def _sender(said: Any) -> Sender:
    name, _, trigger = said.partition(":") if isinstance(said, str) else ("", "", "")
    if not _SENDER.fullmatch(name) or trigger not in get_args(Trigger):
        raise _wrong("TIPHYS_WEBHOOK_SECRETS", _SECRETS_FORM)
    return Sender(name, cast("Trigger", trigger))


def _wrong(name: str, form: str) -> SettingsError:
    message = f"{name} must be a JSON object {form}"
    return SettingsError(message)


def _password(given: str) -> str:
    try:
        return base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
