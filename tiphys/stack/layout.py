"""Where the stack's state lives below ``TIPHYS_HOME``; knows nothing of the servers."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tiphys.settings import StackSettings

_SOCKET_LIMIT = 90  # characters: the kernel takes 107 for a socket's path
_RAY_LIMIT = 36  # characters: Ray puts unix sockets up to 70 below its folder, and the kernel takes 107


@dataclass(frozen=True)
class Layout:
    """Folders and files of one stack."""

    home: Path

    @classmethod
    def of(cls, settings: StackSettings) -> Layout:
        """The layout of those settings."""
        return cls(settings.home)

    @property
    def run(self) -> Path:
        """Locks and what the supervisor tells of itself."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """A log file each."""
        return self.home / "logs"

    @property
    def secrets(self) -> Path:
        """Files that only this user may read."""
        return self.home / "secrets"

    @property
    def jars(self) -> Path:
        """Spark's jars, put there by the set-up."""
        return self.home / "jars"

    @property
    def temporary(self) -> Path:
        """The servers' ``TMPDIR``."""
        return self.home / "tmp"

    @property
    def ray(self) -> Path:
        """Ray's folder."""
        return self._short("ray", _RAY_LIMIT)

    @property
    def s3_sockets(self) -> Path:
        """Where the S3 server puts its sockets."""
        return self._short("s3", _SOCKET_LIMIT)

    def _short(self, name: str, limit: int) -> Path:
        """A folder below home, or in the system's temporary folder where home is too long for sockets."""
        inside = self.home / name
        if len(str(inside)) <= limit:
            return inside
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"tiphys-{digest}-{name}"

    def data(self, server: str) -> Path:
        """What that server stores."""
        return self.home / server

    def log(self, server: str) -> Path:
        """That server's log file."""
        return self.logs / f"{server}.log"

    def make(self) -> None:
        """Make the folders: home can be passed through (PostgreSQL has a user of its own), what is inside cannot."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o711)
        for folder in (self.run, self.logs, self.secrets, self.temporary):
            folder.mkdir(mode=0o700, exist_ok=True)
