"""What the spool has on disk: segments, files of lines whose names say where they land, and the counts that outlive a process."""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

_COUNTS = "counts.json"
_OPEN, _CLOSED = ".open", ".ndjson"

log = logging.getLogger(__name__)


@dataclass
class Segment:
    """A file of lines; its name says where it will land."""

    path: Path
    topic: str
    began: float
    size: int = 0
    lines: int = 0

    @classmethod
    def begun(cls, folder: Path, topic: str, name: str, now: float) -> Segment:
        """Return one without lines, which is no file yet; ``name`` is ``GATEWAY_ID-SEQ``."""
        return cls(folder / f"{topic.replace('/', '%')}%{name}{_OPEN}", topic, now)

    @classmethod
    def adopted(cls, path: Path) -> Segment | None:
        """Take a former process' segment over; a line that was cut off was never counted. None if it has no whole line."""
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            path.unlink()
            return None
        if len(whole) < len(content):
            os.truncate(path, len(whole))
        topic = path.name.rpartition("%")[0].replace("%", "/")
        segment = cls(path, topic, 0.0, len(whole), whole.count(b"\n"))
        segment.close()
        return segment

    @property
    def name(self) -> str:
        """``GATEWAY_ID-SEQ``."""
        return self.path.stem.rpartition("%")[2]

    def extend(self, content: bytes, lines: int) -> None:
        """Write all of it behind the segment, or nothing: what is buffered would still come after the cut."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError:
            os.ftruncate(file, self.size)
            raise
        finally:
            os.close(file)
        self.size += len(content)
        self.lines += lines

    def close(self) -> None:
        """Name it as one that gets no more lines."""
        self.path = self.path.rename(self.path.with_suffix(_CLOSED))


class Stored(BaseModel):
    """What outlives the process."""

    gateway: str = Field(min_length=1)
    sequence: int
    landed: int
    dropped: int
    last_landed: str

    @classmethod
    def read(cls, folder: Path) -> Stored:
        """Read what a former process kept; without it, or if it is damaged, begin under a new name."""
        path = folder / _COUNTS
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValidationError) as error:
            log.warning("%s cannot be read, counting begins anew: %s", path, error)
        return cls(gateway=secrets.token_hex(4), sequence=0, landed=0, dropped=0, last_landed="")

    def write(self, folder: Path) -> None:
        """Keep it, whole or not at all."""
        partial = folder / "counts.part"
        with partial.open("w") as file:
            file.write(self.model_dump_json())
            file.flush()
            os.fsync(file.fileno())  # a name must not come before its content, should the machine fall
        partial.replace(folder / _COUNTS)
