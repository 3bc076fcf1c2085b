"""The servers come back when killed, end with their supervisor, and never stand in each other's way."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tiphys import stack as servers
from tiphys.errors import PermanentError, RetryableError
from tiphys.settings import StackSettings
from tiphys.stack import detach
from tiphys.stack.layout import Layout
from tiphys.stack.ports import Ports
from tiphys.stack.processes import belonging
from tiphys.step import Access, Contract, StepInputs, StepOutputs, contracts

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e

SERVERS = (
    "postgres", "s3", "ray", "mlflow", "triton-staging", "triton-production",
    "ledger", "agent-staging", "agent-production", "gateway",
)  # fmt: skip


def row(settings: StackSettings, name: str) -> servers.Row:
    """One server as ``status`` shows it."""
    return next(each for each in servers.status(settings) if each.name == name)


def lives(process: psutil.Process) -> bool:
    """Whether it has not ended; it may do so between two looks at it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_restarted(settings: StackSettings, before: servers.Row, eventually: Callable[..., None]) -> None:
    """Wait for the restart that a test brought about."""

    def restarted() -> bool:
        """The server is ready again under another pid."""
        now = row(settings, before.name)
        return now.restarts > before.restarts and now.state == "ready" and now.pid not in (None, before.pid)

    eventually(restarted)


@pytest.mark.parametrize("name", SERVERS)
def test_a_killed_server_is_restarted(stack: Stack, name: str, eventually: Callable[..., None]) -> None:
    """After SIGKILL it is healthy again under another pid, and no process of the old one is left beside it."""
    before = row(stack.settings, name)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    wait_until_restarted(stack.settings, before, eventually)
    assert not psutil.pid_exists(before.pid)


def test_what_was_stored_outlives_the_kill_of_its_server(stack: Stack, eventually: Callable[..., None]) -> None:
    """Objects that S3 acknowledged are there after its SIGKILL."""
    engine = stack.s3("engine")
    for number in range(20):
        engine.put_object("artifacts", f"kept/{number}", io.BytesIO(b"%d" % number * 1000), 1000 * len(str(number)))
    before = row(stack.settings, "s3")
    os.kill(before.pid or 0, signal.SIGKILL)
    wait_until_restarted(stack.settings, before, eventually)
    for number in range(20):
        assert engine.get_object("artifacts", f"kept/{number}").data == b"%d" % number * 1000


def test_a_second_up_finds_the_first(stack: Stack) -> None:
    """It starts nothing and gives the same addresses and keys."""
    pids = {each.name: each.pid for each in servers.status(stack.settings)}
    info = servers.up(stack.settings, contracts(), lambda _: None)
    assert not info.started
    assert (info.config_map, info.secrets) == (stack.config, stack.secrets)
    assert {each.name: each.pid for each in servers.status(stack.settings)} == pids


def test_every_listener_is_on_the_list_and_on_loopback(stack: Stack) -> None:
    """No process of the stack listens on another address, or on a port that is not in the table."""
    listed = Ports(stack.settings.port_base).every()
    mine = {each.pid for each in belonging(stack.settings.home)}
    found = [each for each in psutil.net_connections("tcp") if each.status == "LISTEN" and each.pid in mine]
    assert len(found) > 20
    assert {each.laddr.ip for each in found} <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert not {each.laddr.port for each in found} - set(listed)


def test_no_secret_stands_in_a_command_line_or_a_log(stack: Stack) -> None:
    """Every value of every Secret is searched for in argv of all processes and in all logs, Ray's too."""
    values = {
        value
        for secret in stack.secrets.values()
        for name, value in secret.items()
        if name.endswith(("KEY", "PASSWORD", "TOKEN")) and "ACCESS" not in name
    }
    assert len(values) > 10
    layout = Layout.of(stack.settings)
    lines = [" ".join(each.cmdline()) for each in belonging(layout.home)]
    files = [
        each
        for folder in (layout.logs, layout.ray)
        for each in folder.rglob("*")
        if each.is_file() and not each.is_symlink()
    ]
    assert files
    lines += [
        each.read_bytes().decode("utf-8", "replace")
        for each in files
        if each.suffix in (".log", ".out", ".err", ".json")
    ]
    assert not [value for value in values if any(value in line for line in lines)]


def test_files_of_secrets_are_their_owners_only(stack: Stack) -> None:
    """Nobody else may read them, or look into what servers store."""
    layout = Layout.of(stack.settings)
    for each in layout.secrets.iterdir():
        assert each.stat().st_mode & 0o077 == 0, each
    for name in ("run", "logs", "secrets", "s3", "postgres", "mlflow", "triton-staging", "ledger"):
        assert (layout.home / name).stat().st_mode & 0o077 == 0, name


def test_idle_memory_stays_under_its_promise(stack: Stack) -> None:
    """Everything together takes less than 2.5 GB (summed PSS)."""
    memory = [each.memory for each in servers.status(stack.settings)]
    assert None not in memory
    assert sum(each or 0 for each in memory) < 2_500_000_000


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, new_stack: Callable[[Path], StackSettings]
) -> Iterator[StackSettings]:
    """Settings of a stack that these tests start and stop; its folder is too long for Ray's sockets."""
    settings = new_stack(
        tmp_path_factory.mktemp("a-home-whose-path-is-longer-than-what-any-unix-socket-takes-wherever-it-is")
    )
    yield settings
    servers.down(settings)


def test_two_ups_at_once_start_one_stack(alone: StackSettings) -> None:
    """One starts it, the other waits and finds it."""
    infos: list[servers.StackInfo] = []
    threads = [
        threading.Thread(target=lambda: infos.append(servers.up(alone, contracts(), lambda _: None))) for _ in range(2)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=240)
    assert sorted(each.started for each in infos) == [False, True]
    assert infos[0].secrets == infos[1].secrets


def test_a_new_contract_gets_its_key_and_the_others_keep_theirs(alone: StackSettings) -> None:
    """Only S3 is restarted; the newcomer reads what an older principal wrote."""
    old = servers.up(alone, contracts(), lambda _: None)
    before = {each.name: each.pid for each in servers.status(alone)}
    access = Access(read=("artifacts",))
    newcomer = Contract("newcomer", "reads", StepInputs, StepOutputs, effects="pure", access=access)
    info = servers.up(alone, {**contracts(), "newcomer": newcomer}, lambda _: None)
    assert {name: info.secrets[name] for name in old.secrets if name != "ledger"} == {
        name: secret for name, secret in old.secrets.items() if name != "ledger"
    }
    after = {each.name: each.pid for each in servers.status(alone)}
    assert {name for name in before if before[name] != after[name]} == {"s3"}

    from minio import Minio  # noqa: PLC0415

    endpoint = info.config_map["TIPHYS_S3_ENDPOINT"].removeprefix("http://")
    key, secret = info.secrets["newcomer"]["TIPHYS_S3_ACCESS_KEY"], info.secrets["newcomer"]["TIPHYS_S3_SECRET_KEY"]
    assert list(Minio(endpoint, key, secret, secure=False).list_objects("artifacts")) == []


def test_nothing_outlives_a_killed_supervisor_and_the_next_up_works(
    alone: StackSettings, eventually: Callable[..., None]
) -> None:
    """The kernel ends every server with it; the next start trips over nothing that was left."""
    servers.up(alone, contracts(), lambda _: None)
    supervisor = detach.find(Layout.of(alone))
    assert supervisor is not None
    family = supervisor.children(recursive=True)
    assert len(family) > 15
    supervisor.kill()
    if detach.namespace_command() is not None:

        def gone() -> bool:
            """Every process of the stack has ended."""
            return not any(map(lives, family))

        eventually(gone)
    assert servers.status(alone) == []
    assert servers.up(alone, contracts(), lambda _: None).started
    assert {each.state for each in servers.status(alone)} == {"ready"}


def test_down_leaves_nothing_and_says_whether_anything_ran(alone: StackSettings) -> None:
    """No process, no folder outside of home; a second down finds nothing."""
    servers.up(alone, contracts(), lambda _: None)
    assert servers.down(alone)
    assert list(belonging(alone.home)) == []
    assert not Layout.of(alone).ray.exists()
    assert not servers.down(alone)


def test_a_taken_port_is_named_with_its_holder_before_anything_starts(alone: StackSettings) -> None:
    """The message has the port, who holds it, and the setting to change."""
    servers.down(alone)
    port = Ports(alone.port_base)["mlflow"]
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PermanentError) as refused:
        servers.up(alone, contracts(), lambda _: None)
    for part in (f"port {port} (mlflow)", f"process {os.getpid()} (", "TIPHYS_PORT_BASE"):
        assert part in str(refused.value)
    assert list(belonging(alone.home)) == []


def test_a_server_that_cannot_start_is_given_up_with_the_end_of_its_log(alone: StackSettings, tmp_path: Path) -> None:
    """A home whose database is broken ends in an error that names the server; nothing stays running."""
    servers.down(alone)
    kept = Layout.of(alone).data("postgres") / "global" / "pg_control"
    body = kept.read_bytes()
    kept.write_bytes(b"broken")
    try:
        with pytest.raises(RetryableError, match=r"server 'postgres': given up(.|\n)*pg_control"):
            servers.up(alone, contracts(), lambda _: None)
    finally:
        kept.write_bytes(body)
    assert list(belonging(alone.home)) == []


def test_interrupting_up_leaves_nothing(alone: StackSettings, eventually: Callable[..., None]) -> None:
    """Ctrl-C while servers start ends those that have."""
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # a session in the background ignores it
        "from tiphys.settings import stack_settings; from tiphys import stack; from tiphys.step import contracts; "
        "stack.up(stack_settings(), contracts(), lambda each: print(each.name, each.state, flush=True))"
    )
    environment = {**os.environ, "TIPHYS_HOME": str(alone.home), "TIPHYS_PORT_BASE": str(alone.port_base)}
    child = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert any("ready" in line for line in child.stdout)
    child.send_signal(signal.SIGINT)
    child.stdout.read()
    assert child.wait(timeout=90) != 0
    assert list(belonging(alone.home)) == []


def test_a_full_disk_is_named_before_anything_starts(alone: StackSettings, tmp_path: Path) -> None:
    """On a file system without room, up says so, with the folder and the setting to change."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this user cannot mount")
    try:
        with pytest.raises(PermanentError, match=r"the disk is full: \d+ MB free at .*small.*TIPHYS_HOME"):
            servers.up(dataclasses.replace(alone, home=small / "home"), contracts(), lambda _: None)
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.long
def test_without_namespaces_the_next_up_clears_what_a_killed_supervisor_left(
    alone: StackSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel allows no PID namespace, leftovers hold ports; up ends them and starts, down leaves nothing."""
    servers.down(alone)
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert servers.up(alone, contracts(), lambda _: None).started
    supervisor = detach.find(Layout.of(alone))
    assert supervisor is not None
    supervisor.kill()
    supervisor.wait(timeout=10)
    assert servers.up(alone, contracts(), lambda _: None).started
    servers.down(alone)
    assert list(belonging(alone.home)) == []
