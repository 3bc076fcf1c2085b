"""Standard Webhooks (standardwebhooks.com): what a sender signs, and whether a receiver may believe it.

A secret is ``whsec_`` and the base64 of 24 to 64 bytes; signed are id, timestamp and body, joined by dots, with
HMAC-SHA256. Bodies are bytes and stay so: nothing is parsed before the signature holds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from tiphys.errors import SettingsError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE = 300
"""Seconds of the wall clock that a timestamp may differ from the receiver's, either way."""
BODY_CAP = 64 * 1024
"""Most bytes of a body."""
_PREFIX = "whsec_"
_BYTES = range(24, 65)
_MOST_SIGNATURES = 16
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SECONDS = re.compile(r"[0-9]{1,12}")


def key(secret: str) -> bytes:
    """Read a secret.

    Raises:
        SettingsError: it has not the form; the message does not show it.
    """
    try:
        found = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        found = b""
    if not secret.startswith(_PREFIX) or len(found) not in _BYTES:
        message = "a webhook's secret is whsec_ and the base64 of 24 to 64 bytes: this one is not"
        raise SettingsError(message)
    return found


def sign(secret: str, identity: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers that make ``body`` a webhook sent at ``seconds`` since 1970.

    Raises:
        SettingsError: the secret has not the form.
    """
    return {ID: identity, TIMESTAMP: str(seconds), SIGNATURE: _signature(key(secret), identity, str(seconds), body)}


def is_id(text: str) -> bool:
    """Whether a text may be a webhook's id: 1 to 128 letters, digits, ``_`` and ``-``."""
    return _ID.fullmatch(text) is not None


def is_fresh(timestamp: str, now: float) -> bool:
    """Whether the timestamp is seconds since 1970, within the tolerance of ``now``."""
    return _SECONDS.fullmatch(timestamp) is not None and abs(int(timestamp) - now) <= TOLERANCE


def is_signed(secret: bytes, identity: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether one of the signatures, apart by blanks, is that key's; as slow for a wrong one as for the right one."""
    expected = _signature(secret, identity, timestamp, body).encode()
    held = False
    for each in signatures.split(" ")[:_MOST_SIGNATURES]:
        held |= hmac.compare_digest(expected, each.encode())
    return held


def _signature(secret: bytes, identity: str, timestamp: str, body: bytes) -> str:
    digest = hmac.new(secret, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
