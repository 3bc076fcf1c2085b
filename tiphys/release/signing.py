"""Ed25519 over texts, with keys in hex: who signed a passport, and that no byte of it changed since (RFC 8032).

The private key is its 32-byte seed. It knows no passport and no ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiphys.errors import SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def public_key(seed: str) -> str:
    """Return the public half of a private key, in hex.

    Raises:
        SettingsError: the private key is not 32 bytes in hex; the message does not show it.
    """
    return _private(seed).public_key().public_bytes_raw().hex()


def sign(seed: str, text: str) -> str:
    """Return the signature of a text's UTF-8 bytes, in hex. Raises as :func:`public_key`."""
    return _private(seed).sign(text.encode()).hex()


def verifies(public: str, text: str, signature: str) -> bool:
    """Whether that key's owner signed exactly that text."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - 60 ms that few commands want
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(seed: str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    except ValueError:
        message = "TIPHYS_PASSPORT_KEY is no Ed25519 private key: 32 bytes in hex are needed"
        raise SettingsError(message) from None
