"""Who we are to a registry: what a ``config.json`` of docker, podman or a Kubernetes pull secret says for its host."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any

from tiphys.errors import SettingsError

_NAMED = 'TIPHYS_REGISTRY_AUTH must be a docker config.json: {"auths": {"HOST": {"auth": "BASE64 OF USER:PASSWORD"}}}'


@dataclass(frozen=True)
class Login:
    """A user of a registry."""

    user: str
    password: str = field(repr=False)

    def header(self) -> str:
        """As HTTP's Authorization."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def login(config: str, host: str) -> Login | None:
    """Find the login for a host in the text of a config.json; None where it has none, or the text is empty.

    Raises:
        SettingsError: it has another form; the message shows nothing of it.
    """
    if not config.strip():
        return None
    try:
        found = json.loads(config)["auths"]
        given = next((each for name, each in found.items() if _host(name) == host), None)
        return None if given is None else _login(given)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise SettingsError(_NAMED) from None


def _host(name: str) -> str:
    """Docker writes hosts in several ways: ``https://HOST/v2/`` is the same as ``HOST``."""
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _login(given: dict[str, Any]) -> Login:
    if given.get("username"):
        return Login(given["username"], given["password"])
    user, colon, password = base64.b64decode(given["auth"], validate=True).decode().partition(":")
    if not colon:
        raise ValueError
    return Login(user, password)
