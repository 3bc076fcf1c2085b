"""Which port belongs to whom, and who holds one that is taken; knows nothing of what answers there."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import psutil

from tiphys.errors import PermanentError

LOOPBACK = "127.0.0.1"

OFFSETS = {
    "gateway": 0, "gateway_grpc": 8, "gateway_admin": 9, "ledger": 1, "mlflow": 2, "s3": 3, "postgres": 4, "ray": 5, "ray_gcs": 6, "engine": 7,
    "staging_http": 10, "staging_grpc": 11, "staging_metrics": 12, "staging_agent": 13,
    "production_http": 14, "production_grpc": 15, "production_metrics": 16, "production_agent": 17,
    "canary_http": 18, "canary_grpc": 19, "canary_metrics": 27, "canary_agent": 28,
    "governor": 29,
    "s3_master": 20, "s3_volume": 21, "s3_filer": 22,
    "s3_master_grpc": 23, "s3_volume_grpc": 24, "s3_filer_grpc": 25, "s3_grpc": 26,
    "ray_object_manager": 30, "ray_node_manager": 31, "ray_agent_http": 32, "ray_agent_grpc": 33,
    "ray_runtime_env": 34, "ray_metrics_export": 35, "ray_dashboard_metrics": 36,
    "ray_workers_first": 40, "ray_workers_last": 99,
}  # fmt: skip
"""Every port of the embedded servers, counted from the base; workers of Ray take what lies between first and last."""


@dataclass(frozen=True)
class Ports:
    """The ports of one stack: ``ports["mlflow"]``."""

    base: int

    def __getitem__(self, name: str) -> int:
        """The port of that name."""
        return self.base + OFFSETS[name]

    def address(self, name: str) -> str:
        """``HOST:PORT`` of that name."""
        return f"{LOOPBACK}:{self[name]}"

    def url(self, name: str) -> str:
        """``http://HOST:PORT`` of that name."""
        return f"http://{self.address(name)}"

    def every(self) -> dict[int, str]:
        """Each port that may be listened on, with its name."""
        listed = {self.base + offset: name for name, offset in OFFSETS.items()}
        for port in range(self["ray_workers_first"], self["ray_workers_last"] + 1):
            listed[port] = "ray_worker"
        return listed


def require_free(ports: Ports) -> None:
    """Raise if any of the stack's ports is taken, naming the first one and its holder.

    Raises:
        PermanentError: a port is taken.
    """
    for port, name in sorted(ports.every().items()):
        if is_taken(port):
            message = (
                f"port {port} ({name.replace('_', ' ')}) is taken by {holder(port)}: end that, "
                f"or give the servers other ports: TIPHYS_PORT_BASE (now {ports.base}, they use 100 from there)"
            )
            raise PermanentError(message)


def is_taken(port: int) -> bool:
    """Whether something listens on that port of the loopback address, or of all addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def holder(port: int) -> str:
    """Pid and command line of the process that listens on a port, as far as this user may see it."""
    for connection in psutil.net_connections("tcp"):
        local = connection.laddr
        if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
            return f"process {connection.pid} ({_command(connection.pid)})"
    return "a process that this user cannot see (try: sudo ss -ltnp)"


def _command(pid: int) -> str:
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return "command unknown"
    text = " ".join(words)
    return text if len(text) <= 120 else text[:117] + "..."  # noqa: PLR2004 - one line of a terminal
