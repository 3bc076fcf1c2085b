"""The prediction log's way to S3: nothing is counted twice, nothing is lost without being counted."""

from __future__ import annotations

import gzip
import json
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import RetryableError
from tiphys.serving.gateway import spool as module
from tiphys.serving.gateway.spool import Counts, Spool

pytestmark = pytest.mark.unit
TOPIC = "predictions/tiny/date=2026-11-22"


class Bucket:
    """S3 as far as the spool needs it; may be away."""

    def __init__(self) -> None:
        """Be empty."""
        self.objects: dict[str, bytes] = {}
        self.away = False

    def put(self, name: str, content: bytes) -> None:
        """Keep an object, unzipped."""
        if self.away:
            message = "S3 does not answer"
            raise RetryableError(message)
        self.objects[name] = gzip.decompress(content)

    def lines(self) -> list[bytes]:
        """All lines of all objects."""
        return [line for content in self.objects.values() for line in content.splitlines(keepends=True)]


def counts(written: int, landed: int, dropped: int, waiting: int) -> Counts:
    """By their names."""
    return Counts(written=written, landed=landed, dropped=dropped, waiting=waiting)


def close(spool: Spool) -> None:
    """Close what is open, as ten seconds do."""
    with spool._lock:
        spool._close_due(every=True)


def land_all(spool: Spool) -> None:
    """Land what is closed, while S3 is there."""
    try:
        while spool.land():
            pass
    except RetryableError:
        return


def test_lines_land_as_gzip_below_their_topic(tmp_path: Path) -> None:
    """An object's name says topic, gateway and number; its lines are those that were written, in order."""
    bucket = Bucket()
    spool = Spool(tmp_path, bucket.put)
    for number in range(3):
        spool.write(TOPIC, b"%d\n" % number)
    spool.write("feedback/tiny/date=2026-11-22", b"f\n")
    assert spool.counts() == counts(4, 0, 0, 4)
    spool.flush()
    assert spool.counts() == counts(4, 0, 0, 4)
    close(spool)
    land_all(spool)
    assert spool.counts() == counts(4, 4, 0, 0)
    (name,) = (each for each in bucket.objects if each.startswith("predictions"))
    assert name.startswith(TOPIC + "/")
    assert name.endswith("-00000001.ndjson.gz")
    assert bucket.objects[name] == b"0\n1\n2\n"


def test_a_process_that_was_killed_leaves_what_was_flushed(tmp_path: Path) -> None:
    """The next one lands it; what was in memory is in no count; half a line is cut off."""
    bucket = Bucket()
    spool = Spool(tmp_path, bucket.put)
    spool.write(TOPIC, b"one\n")
    spool.flush()
    spool.write(TOPIC, b"never flushed\n")
    (segment,) = tmp_path.glob("*.open")
    segment.write_bytes(segment.read_bytes() + b"hal")
    again = Spool(tmp_path, bucket.put)
    assert again.counts() == counts(1, 0, 0, 1)
    land_all(again)
    assert bucket.lines() == [b"one\n"]
    assert again.counts() == counts(1, 1, 0, 0)
    assert not list(tmp_path.glob("*%*"))


def test_a_kill_between_landing_and_forgetting_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts are written before the file goes; the next process removes it and lands it no more."""
    bucket = Bucket()
    spool = Spool(tmp_path, bucket.put)
    spool.write(TOPIC, b"one\n")
    spool.flush()
    close(spool)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _killed)
        with pytest.raises(KeyboardInterrupt):
            spool.land()
    again = Spool(tmp_path, bucket.put)
    assert again.counts() == counts(1, 1, 0, 0)
    assert not again.land()


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_full_disk_drops_the_newest_and_counts_them(tmp_path: Path) -> None:
    """What is there already is kept; the counts outlive the process."""
    bucket = Bucket()
    spool = Spool(tmp_path, bucket.put, disk_cap=10)
    for line in (b"12345\n", b"too much\n", b"123\n"):
        spool.write(TOPIC, line)
        spool.flush()
    assert spool.counts() == counts(3, 0, 1, 2)
    again = Spool(tmp_path, bucket.put, disk_cap=10)
    land_all(again)
    assert again.counts() == counts(3, 2, 1, 0)
    assert bucket.lines() == [b"12345\n", b"123\n"]


def test_a_write_that_fails_halfway_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    """A disk that is full in the middle of a line: what was whole before stays, what comes later begins a line of its own."""
    bucket = Bucket()
    spool = Spool(tmp_path, bucket.put)
    spool.write(TOPIC, b"before\n")
    spool.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        for _ in range(60):
            spool.write(TOPIC, b"x" * 90 + b"\n")
        spool.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert spool.counts() == counts(61, 0, 60, 1)
    spool.write(TOPIC, b"after\n")
    spool.flush()
    close(spool)
    land_all(spool)
    assert bucket.lines() == [b"before\n", b"after\n"]
    assert spool.counts() == counts(62, 2, 60, 0)


def test_what_has_landed_goes_even_if_the_counts_cannot_be_kept(tmp_path: Path) -> None:
    """Else its file would be nobody's until the next start."""
    bucket = Bucket()
    spool = Spool(tmp_path, bucket.put)
    spool.write(TOPIC, b"one\n")
    spool.flush()
    close(spool)
    in_the_way = tmp_path / "counts.part"
    in_the_way.mkdir()
    with pytest.raises(OSError, match="directory"):
        spool.land()
    assert not list(tmp_path.glob("*.ndjson"))
    assert spool.counts() == counts(1, 1, 0, 0)
    in_the_way.rmdir()
    spool.flush()
    assert Spool(tmp_path, bucket.put).counts() == counts(1, 1, 0, 0)


def test_a_segment_that_cannot_be_closed_is_closed_later(tmp_path: Path) -> None:
    """It stays where it is known from."""
    bucket = Bucket()
    spool = Spool(tmp_path, bucket.put)
    spool.write(TOPIC, b"one\n")
    spool.flush()
    (path,) = tmp_path.glob("*.open")
    path.rename(tmp_path / "aside")
    with pytest.raises(OSError, match="No such file"):
        close(spool)
    (tmp_path / "aside").rename(path)
    close(spool)
    land_all(spool)
    assert bucket.lines() == [b"one\n"]


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"gateway": "0000"}', b"\xff"])
def test_damaged_counts_do_not_stop_a_start(tmp_path: Path, damaged: bytes) -> None:
    """It counts anew and under a new name, so that nothing that has landed is written over; what waits is landed."""
    bucket = Bucket()
    former = Spool(tmp_path, bucket.put)
    for line in (b"landed\n", b"waits\n"):
        former.write(TOPIC, line)
        former.flush()
        close(former)
        if line == b"landed\n":
            land_all(former)
    (tmp_path / "counts.json").write_bytes(damaged)
    spool = Spool(tmp_path, bucket.put)
    assert spool.counts() == counts(1, 0, 0, 1)
    land_all(spool)
    spool.write(TOPIC, b"new\n")
    spool.flush()
    close(spool)
    land_all(spool)
    assert sorted(bucket.lines()) == [b"landed\n", b"new\n", b"waits\n"]
    assert len(bucket.objects) == 3
    assert len({name.rpartition("/")[2].partition("-")[0] for name in bucket.objects}) == 2


def test_full_memory_drops_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs makes nobody wait and nothing grow."""
    monkeypatch.setattr(module, "MEMORY_CAP", 10)
    spool = Spool(tmp_path, Bucket().put)
    for _ in range(5):
        spool.write(TOPIC, b"1234\n")
    assert spool.counts() == counts(5, 0, 3, 2)


def test_two_processes_never_use_one_name(tmp_path: Path) -> None:
    """Numbers go on where they were, so no object is overwritten by another."""
    bucket = Bucket()
    for number in range(3):
        spool = Spool(tmp_path, bucket.put)
        spool.write(TOPIC, b"%d\n" % number)
        spool.flush()
        close(spool)
        land_all(spool)
    assert len(bucket.objects) == 3
    assert json.loads((tmp_path / "counts.json").read_text())["landed"] == 3


def test_the_threads_flush_and_land_until_they_are_stopped(tmp_path: Path) -> None:
    """A stop lands what is there; what S3 did not take waits for the next start."""
    bucket = Bucket()
    spool = Spool(tmp_path, bucket.put)
    spool.start()
    spool.write(TOPIC, b"one\n")
    spool.stop(10)
    assert spool.counts() == counts(1, 1, 0, 0)
    bucket.away = True
    spool = Spool(tmp_path, bucket.put)
    spool.start()
    spool.write(TOPIC, b"two\n")
    spool.stop(10)
    assert spool.counts() == counts(2, 1, 0, 1)
    bucket.away = False
    spool = Spool(tmp_path, bucket.put)
    land_all(spool)
    assert bucket.lines() == [b"one\n", b"two\n"]


STEPS = {
    "write": lambda spool, _bucket: spool.write(TOPIC, b"x\n"),
    "flush": lambda spool, _bucket: spool.flush(),
    "close": lambda spool, _bucket: close(spool),
    "land": lambda spool, _bucket: land_all(spool),
    "away": lambda _spool, bucket: setattr(bucket, "away", True),
    "back": lambda _spool, bucket: setattr(bucket, "away", False),
}  # fmt: skip


@given(steps=st.lists(st.sampled_from([*STEPS, "write", "kill"]), max_size=60))
def test_written_is_landed_and_dropped_and_waiting_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Through kills, outages and a disk of five lines; and what is landed is what lies in the bucket."""
    folder, bucket = tmp_path_factory.mktemp("spool"), Bucket()
    spool = Spool(folder, bucket.put, disk_cap=10)
    written = in_memory = 0
    actions: dict[str, Callable[[Spool, Bucket], None]] = STEPS  # type: ignore[assignment]
    for step in steps:
        if step == "kill":
            spool = Spool(folder, bucket.put, disk_cap=10)
            written, in_memory = written - in_memory, 0
        else:
            actions[step](spool, bucket)
            in_memory = {"write": in_memory + 1, "flush": 0}.get(step, in_memory)
            written += step == "write"
        found = spool.counts()
        assert found.written == found.landed + found.dropped + found.waiting == written
        assert found.landed == len(bucket.lines())
