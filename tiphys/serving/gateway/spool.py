"""Lines on their way to S3: memory, then segment files, then gzip'd objects; an answer never waits for any of it.

``written = landed + waiting + dropped`` holds at every moment and across restarts. What is in memory is flushed every
half second: a process that is killed loses at most that, and those lines are then in none of the counts. Lines are
dropped, and counted, when memory or disk is at its bound; what is there already is kept, the newest go.
"""

from __future__ import annotations

import gzip
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiphys.errors import TiphysError
from tiphys.serving.gateway.segments import Segment, Stored

FLUSH_SECONDS = 0.5
MEMORY_CAP = 16 << 20
"""Bytes of lines that wait in memory at most."""
DISK_CAP = 1 << 30
"""Bytes of lines that wait on disk at most."""
SEGMENT_BYTES = 4 << 20
SEGMENT_SECONDS = 10.0
"""A segment is closed, and landed, when it is so large or so old."""
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """What became of all lines so far."""

    written: int
    landed: int
    dropped: int
    waiting: int


class Spool:
    """One gateway's spool. ``write`` belongs to the event loop; two threads do the rest."""

    def __init__(self, folder: Path, put: Callable[[str, bytes], object], *, disk_cap: int = DISK_CAP) -> None:
        """Take over what a former process left in ``folder``; ``put(name, content)`` lands an object.

        A name is ``TOPIC/GATEWAY_ID-SEQ.ndjson.gz``.
        """
        self._folder = folder
        self._put = put
        self._disk_cap = disk_cap
        self._writing = threading.Lock()
        """Guards what is in memory; never held while anything is waited for."""
        self._lock = threading.Lock()
        """Guards the rest; held while the disk is written."""
        self._memory: dict[str, list[bytes]] = defaultdict(list)
        self._memory_bytes = 0
        self._memory_lines = 0
        self._moving = 0
        """Lines on their way from memory to disk."""
        self._open: dict[str, Segment] = {}
        self._ready: list[Segment] = []
        self._disk_bytes = 0
        self._disk_lines = 0
        self._landed = 0
        self._dropped = 0
        self._overflown = 0
        """Lines that were dropped since the last flush, for want of memory."""
        self._sequence = 0
        self._gateway = ""
        self._stored: Stored | None = None
        self._last = ""
        """The segment that was landed last, which may still be on disk."""
        self._stopping = threading.Event()
        self._news = threading.Event()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._recover()
        self._threads = [
            threading.Thread(target=self._flush_for_ever, name="spool-flush", daemon=True),
            threading.Thread(target=self._land_for_ever, name="spool-land", daemon=True),
        ]

    def start(self) -> None:
        """Begin to flush and to land."""
        for each in self._threads:
            each.start()

    def stop(self, seconds: float = 2.0) -> None:
        """Flush, close, try to land what waits for so long, and end; the rest is landed at the next start."""
        self._stopping.set()
        self._news.set()
        for each in self._threads:
            each.join(seconds)

    def write(self, topic: str, line: bytes) -> None:
        """Take a line, with its newline; ``topic`` is the folder below the bucket that it lands in. Never waits."""
        size = len(line)
        with self._writing:
            if self._memory_bytes + size > MEMORY_CAP:
                self._overflown += 1
                return
            self._memory[topic].append(line)
            self._memory_bytes += size
            self._memory_lines += 1

    def counts(self) -> Counts:
        """What became of all lines so far; may wait for the disk."""
        with self._lock, self._writing:
            waiting = self._memory_lines + self._moving + self._disk_lines
            dropped = self._dropped + self._overflown
            return Counts(waiting + self._landed + dropped, self._landed, dropped, waiting)

    # Flushing.

    def flush(self) -> None:
        """Write what is in memory to disk; close segments that are full or old."""
        with self._lock, self._writing:
            taken, self._memory = self._memory, defaultdict(list)
            self._moving, self._memory_lines, self._memory_bytes = self._memory_lines, 0, 0
            self._dropped, self._overflown = self._dropped + self._overflown, 0
        for topic, lines in taken.items():
            content = b"".join(lines)
            with self._lock:
                kept = self._append(topic, content, len(lines))
                self._moving -= len(lines)
                if kept:
                    self._disk_bytes += len(content)
                    self._disk_lines += len(lines)
                else:
                    self._dropped += len(lines)
        with self._lock:
            self._close_due()
            self._store()

    def _append(self, topic: str, content: bytes, lines: int) -> bool:
        if self._disk_bytes + len(content) > self._disk_cap:
            return False
        try:
            segment = self._open.get(topic) or self._begin(topic)
            segment.extend(content, lines)
        except OSError as error:
            log.warning("%d lines of %s cannot be written down and are dropped: %s", lines, topic, error)
            return False
        return True

    def _begin(self, topic: str) -> Segment:
        self._sequence += 1
        self._store()
        name = f"{self._gateway}-{self._sequence:08d}"
        segment = self._open[topic] = Segment.begun(self._folder, topic, name, time.monotonic())
        return segment

    def _close_due(self, *, every: bool = False) -> None:
        now = time.monotonic()
        for topic, segment in list(self._open.items()):
            if every or segment.size >= SEGMENT_BYTES or now - segment.began >= SEGMENT_SECONDS:
                segment.close()
                del self._open[topic]
                self._ready.append(segment)
                self._news.set()

    def _flush_for_ever(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            self._flush_safely()
        self._flush_safely()
        with self._lock:
            self._close_due(every=True)
        self._news.set()

    def _flush_safely(self) -> None:
        try:
            self.flush()
        except OSError as error:
            log.warning("the spool cannot be kept in order: %s", error)

    # Landing.

    def land(self) -> bool:
        """Land the oldest closed segment; whether there was one.

        Raises:
            TiphysError: S3 does not take it now.
        """
        with self._lock:
            if not self._ready:
                return False
            segment = self._ready[0]
        content = gzip.compress(segment.path.read_bytes(), compresslevel=5, mtime=0)
        self._put(f"{segment.topic}/{segment.name}.ndjson.gz", content)
        with self._lock:
            self._ready.pop(0)
            self._landed += segment.lines
            self._disk_lines -= segment.lines
            self._disk_bytes -= segment.size
            try:
                self._store(last_landed=segment.path.name)  # before the file goes: it is never counted twice
            finally:
                segment.path.unlink()  # nobody would do it later
        return True

    def _land_for_ever(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                while self.land():
                    pause = _FIRST_PAUSE
            except (TiphysError, OSError) as error:
                log.warning("predictions wait to be landed: %s; tried again in %.0f s", error, pause)
                if self._stopping.wait(pause):
                    return
                pause = min(2 * pause, _LAST_PAUSE)
                continue
            if self._stopping.is_set() and not self._threads[0].is_alive():
                self._land_last()
                return
            self._news.wait(1.0)
            self._news.clear()

    def _land_last(self) -> None:
        try:
            while self.land():
                pass
        except (TiphysError, OSError) as error:
            log.warning("predictions stay on disk until the next start: %s", error)

    # What outlives the process.

    def _recover(self) -> None:
        stored = Stored.read(self._folder)
        self._gateway, self._sequence = stored.gateway, stored.sequence
        self._landed, self._dropped, last = stored.landed, stored.dropped, stored.last_landed
        for path in sorted(self._folder.glob("*%*")):
            if path.name == last:
                path.unlink()
            elif (segment := Segment.adopted(path)) is not None:
                self._ready.append(segment)
                self._disk_bytes += segment.size
                self._disk_lines += segment.lines
        self._ready.sort(key=lambda each: each.name)
        self._store(last_landed=last)

    def _store(self, last_landed: str | None = None) -> None:
        if last_landed is not None:
            self._last = last_landed
        stored = Stored(
            gateway=self._gateway,
            sequence=self._sequence,
            landed=self._landed,
            dropped=self._dropped,
            last_landed=self._last,
        )
        if stored != self._stored:
            stored.write(self._folder)
            self._stored = stored
