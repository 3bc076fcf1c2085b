"""Ports, folders, logs and state files."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tiphys.errors import PermanentError
from tiphys.settings import StackSettings
from tiphys.stack import logs, ports, state
from tiphys.stack.layout import Layout

pytestmark = pytest.mark.unit


def test_no_two_servers_share_a_port() -> None:
    """All lie within a hundred from the base."""
    assert len(set(ports.OFFSETS.values())) == len(ports.OFFSETS)
    assert set(ports.OFFSETS.values()) <= set(range(100))


def test_a_taken_port_names_the_port_and_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds it, the person learns what to change."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        monkeypatch.setattr(ports.Ports, "every", lambda _self: {port: "mlflow"})  # those beside may be anybody's
        with pytest.raises(PermanentError, match=rf"port {port} \(mlflow\) is taken by .*TIPHYS_PORT_BASE"):
            ports.require_free(ports.Ports(port - ports.OFFSETS["mlflow"]))


def test_ray_gets_a_short_folder(tmp_path: Path) -> None:
    """Its sockets must fit where home is long; where home is short they stay inside."""
    assert Layout(Path("/srv/tiphys/.tiphys")).ray == Path("/srv/tiphys/.tiphys/ray")
    long = Layout(Path("/srv") / ("x" * 60))
    assert len(str(long.ray)) <= 40
    assert long.ray != Layout(Path("/srv") / ("y" * 60)).ray


def test_a_log_keeps_its_newest_part_and_its_writer(tmp_path: Path) -> None:
    """Over the limit it is emptied in place, so that a server that appends goes on in the same file."""
    path = tmp_path / "s3.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 100 + b"new\n" * 10)
        logs.cap(path, limit=40)
        writer.write(b"newest\n")
    assert path.read_bytes() == b"newest\n"
    assert (tmp_path / "s3.log.1").read_bytes() == b"new\n" * 10


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    """Nothing is moved below the limit."""
    path = tmp_path / "s3.log"
    path.write_bytes(b"line\n")
    logs.cap(path, limit=40)
    assert logs.tail(path, 3) == ["line"]
    assert not (tmp_path / "s3.log.1").exists()


def test_the_state_comes_back_as_it_was_told(tmp_path: Path) -> None:
    """And where there is none there is none."""
    assert state.read(tmp_path / "state.json") is None
    server = state.ServerState(name="s3", state="ready", address="127.0.0.1:7403", pid=12, since=1.5, log="s3.log")
    told = state.StackState(own_namespace=True, keys="abc", servers={"s3": server})
    state.write(tmp_path / "state.json", told)
    assert state.read(tmp_path / "state.json") == told
    assert told.all_ready


def test_home_can_be_passed_and_not_looked_into(tmp_path: Path) -> None:
    """PostgreSQL's own user comes to its data, and nobody to anything else."""
    layout = Layout.of(StackSettings(home=tmp_path / "home", port_base=1, java_home=""))
    layout.make()
    assert layout.home.stat().st_mode & 0o777 == 0o711
    assert {each.stat().st_mode & 0o777 for each in (layout.run, layout.logs, layout.secrets)} == {0o700}
