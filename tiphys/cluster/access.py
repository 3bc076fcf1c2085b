"""Where an Argo server is, and as whom it is asked; refuses what would give a token away."""

from __future__ import annotations

import ipaddress
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tiphys.cluster.errors import ClusterError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_OTHERS = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True)
class Access:
    """An Argo server's address and the caller's credentials. The token itself is only in its file."""

    url: str
    namespace: str
    token_file: Path | None = None
    ca_file: Path | None = None
    plain_http: bool = False
    """Send the token over http to another host than this one."""

    def checked(self) -> Access:
        """The same with a clean URL.

        Raises:
            ClusterError: the URL or the namespace has no such form, or the token would travel in the clear.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"--server {_shown(self.url)}: write a URL, such as https://argo.example.org:2746"
            raise ClusterError(msg)
        if parts.username or parts.password or parts.query or parts.fragment:
            msg = f"--server https://{parts.hostname}: give the address alone; the token comes from --token-file"
            raise ClusterError(msg)
        check_name(self.namespace, "namespace")
        if self.token_file and parts.scheme == "http" and not self.local and not self.plain_http:
            msg = (
                f"{self.url} is plain http, and the token would travel readable for everyone on the way: "
                "use https, or forward the port to this machine; --plain-http sends it all the same"
            )
            raise ClusterError(msg)
        return self

    @property
    def local(self) -> bool:
        """Whether the server is on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def token(self) -> str:
        """The token of the file, empty without one.

        Raises:
            ClusterError: the file can't be read, or holds no token.
        """
        if self.token_file is None:
            return ""
        try:
            text = self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            msg = f"the token file {self.token_file} can't be read: {why}"
            raise ClusterError(msg) from None
        text = text.removeprefix("Bearer ").strip()
        if not text or not text.isascii() or any(char.isspace() for char in text):
            msg = f"the token file {self.token_file} holds no token: one line is wanted, as `kubectl create token` prints it"
            raise ClusterError(msg)
        return text

    def warnings(self) -> list[str]:
        """What a person should know of these credentials."""
        if self.token_file is None or not self.token_file.exists():
            return []
        if self.token_file.stat().st_mode & _OTHERS:
            return [f"the token file {self.token_file} can be read by others: chmod 600 {self.token_file}"]
        return []


def check_name(name: str, what: str) -> None:
    """Raises ClusterError for what can't be a Kubernetes name: it becomes a part of a URL."""
    if not _NAME.fullmatch(name):
        msg = f"{what} {name!r}: a name is made of a-z, 0-9, '-' and '.'"
        raise ClusterError(msg)


def _shown(url: str) -> str:
    """A URL without what may be a password in it."""
    return repr(re.sub(r"//[^/@]*@", "//...@", url))
