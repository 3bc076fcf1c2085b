"""A server that gives no answer is told with its cause, and without the library's wrapping of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tiphys.errors import RetryableError
from tiphys.release.client import LedgerClient
from tiphys.serving.agent_client import AgentClient
from tiphys.serving.gateway_client import GatewayClient
from tiphys.settings import LedgerSettings

pytestmark = pytest.mark.unit


@pytest.fixture
def mute() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dying() -> Iterator[str]:
    """A server that hangs up on who asks."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            with server.accept()[0] as asker:
                asker.recv(1 << 16)

        answering = threading.Thread(target=hang_up)
        answering.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        answering.join()


def ask(which: str, address: str, timeout: float) -> object:
    """Ask that client's server anything."""
    if which == "ledger":
        return LedgerClient(LedgerSettings(url=f"http://{address}", token="t"), timeout=timeout, retries=0).current(
            "production"
        )
    if which == "agent":
        return AgentClient(address, timeout=timeout).serving()
    return GatewayClient(f"http://{address}", timeout=timeout).ask("/v1/eta", {})


def said(which: str, address: str, timeout: float = 0.05) -> str:
    """What it says of a server that does not answer."""
    with pytest.raises(RetryableError) as silent:
        ask(which, address, timeout)
    return str(silent.value)


@pytest.mark.parametrize("which", ["ledger", "agent", "gateway"])
def test_the_cause_is_told_once_and_plainly(which: str, mute: str, nobody: str) -> None:
    """Too late, or nobody there; with the address and what to type."""
    late, gone = said(which, mute), said(which, nobody)
    assert f"{mute} does not answer: Read timed out. (read timeout=0.05); 'tiphys status'" in late
    assert f"{nobody} does not answer: [Errno 111] Connection refused; 'tiphys status'" in gone


@pytest.mark.parametrize("which", ["ledger", "agent", "gateway"])
def test_a_broken_connection_is_told_without_its_tuple(which: str, dying: str) -> None:
    """As where a server is killed while it answers."""
    told = said(which, dying, timeout=20.0)
    assert f"{dying} does not answer: Remote end closed connection without response; 'tiphys status'" in told
