"""What `up` makes of what an earlier start left: a state, a supervisor of another version, a port that is held."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tiphys.errors import PermanentError
from tiphys.settings import StackSettings
from tiphys.stack import control, state
from tiphys.stack.layout import Layout
from tiphys.stack.state import ServerState, StackState

pytestmark = pytest.mark.unit

READY = StackState(
    own_namespace=True, keys="others", servers={"s3": ServerState(name="s3", state="ready", address="", log="")}
)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[StackSettings]:
    """Settings of a stack whose first port somebody else holds, so that no server is ever started."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        settings = StackSettings(home=tmp_path, port_base=holder.getsockname()[1], java_home="")
        Layout.of(settings).make()
        yield settings


@pytest.fixture
def signals(held: StackSettings) -> Iterator[list[int]]:
    """The signals that the supervisor of that stack is sent: this process plays one that does not understand."""
    run, heard = Layout.of(held).run, list[int]()
    me = {"pid": os.getpid(), "created": psutil.Process().create_time()}
    (run / "supervisor.json").write_text(json.dumps(me))
    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    with (run / "supervisor.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield heard
    signal.signal(signal.SIGHUP, before)


def up(settings: StackSettings) -> None:
    """Start it."""
    control.up(settings, {}, lambda _: None)


@pytest.mark.parametrize(
    "left",
    [READY.model_dump_json().encode(), b"", b'{"servers": {"s3": {"state": "new"}}}'],
    ids=["keys", "empty", "form"],
)
def test_a_supervisor_that_does_not_take_the_keys_is_named(
    held: StackSettings, signals: list[int], left: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told of them; if it is of another version it never says that it knows them, and nobody waits for that."""
    monkeypatch.setattr(control, "_RENEWS_WITHIN", 0.1)
    (Layout.of(held).run / "state.json").write_bytes(left)
    with pytest.raises(PermanentError, match="another had started them: 'tiphys down', then 'tiphys up'"):
        up(held)
    assert signals == [signal.SIGHUP]


@pytest.mark.parametrize(
    "left", [b"", READY.model_dump_json().encode()[:30], b'{"servers": 1}'], ids=["empty", "cut", "form"]
)
def test_a_state_that_cannot_be_read_stops_no_start(held: StackSettings, left: bytes) -> None:
    """After a power cut, or of another version: as if there was none."""
    (Layout.of(held).run / "state.json").write_bytes(left)
    with pytest.raises(PermanentError, match=r"port \d+ \(gateway\) is taken"):
        up(held)


def test_a_port_that_stays_taken_is_waited_for_once(held: StackSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed supervisor left may hold it; once that was waited for, the next start names the holder at once."""
    monkeypatch.setattr(control, "_DYING_WITHIN", 0.1)
    state.write(Layout.of(held).run / "state.json", READY)
    with pytest.raises(PermanentError, match="is taken"):
        up(held)
    monkeypatch.setattr(control, "_DYING_WITHIN", 1e9)
    with pytest.raises(PermanentError, match="is taken"):
        up(held)
