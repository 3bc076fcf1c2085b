"""A Ray cluster of several nodes on this machine, as ``ray start`` makes it: an address and a folder each, guarded by a token."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import urllib3

from tiphys.settings import PROJECT

if TYPE_CHECKING:
    from conftest import Stack

HEAD = "127.0.0.2"
_MEMORY = "80000000"  # bytes of the object store, the least that Ray takes


def _free_port(address: str) -> int:
    with socket.socket() as free:
        free.bind((address, 0))
        return int(free.getsockname()[1])


@dataclass
class RayNodes:
    """The cluster; ``told`` is what its nodes find in their environment, as from the Secret of the step train."""

    told: Mapping[str, str]
    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    gcs: int = field(default_factory=lambda: _free_port(HEAD))
    dashboard: int = field(default_factory=lambda: _free_port(HEAD))
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its job server."""
        return f"http://{HEAD}:{self.dashboard}"

    def for_step(self, stack: Stack, token: str = "") -> Stack:
        """The stack, but with this cluster as its Ray."""
        own = {**stack.secrets["train"], "TIPHYS_RAY_TOKEN": token or self.token}
        return replace(
            stack, config={**stack.config, "TIPHYS_RAY_URL": self.url}, secrets={**stack.secrets, "train": own}
        )

    def head(self) -> None:
        """Start the head, which has no CPU to train on."""
        self._start(
            HEAD, "0", "--head", f"--port={self.gcs}", "--include-dashboard=true", f"--dashboard-host={HEAD}",
            f"--dashboard-port={self.dashboard}", f"--ray-client-server-port={_free_port(HEAD)}",
        )  # fmt: skip

    def add(self, address: str) -> None:
        """Start a node of two CPUs."""
        self._start(address, "2", f"--address={HEAD}:{self.gcs}")

    def kill(self, address: str) -> None:
        """Kill every process of a node at once."""
        process = self.nodes.pop(address)
        top = psutil.Process(process.pid)
        for each in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait(timeout=30)

    def cpus(self) -> float:
        """CPUs of the nodes that are there; -1 while the head does not tell."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = urllib3.request(
                "GET", f"{self.url}/api/cluster_status", headers=headers, retries=False, timeout=5.0
            )
            usage = answer.json()["data"]["clusterStatus"]["loadMetricsReport"]["usage"]
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError):
            return -1.0
        return float(usage.get("CPU", [0, 0])[1])

    def jobs(self) -> str:
        """What the cluster keeps of its jobs."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return urllib3.request("GET", f"{self.url}/api/jobs/", headers=headers).data.decode()

    def _start(self, address: str, cpus: str, *arguments: str) -> None:
        environment = {
            "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(PROJECT), "HOME": str(self.folder),
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_metrics_collection": "0", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20", **self.told,
        }  # fmt: skip
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--node-ip-address={address}",
            f"--num-cpus={cpus}", "--num-gpus=0", f"--object-store-memory={_MEMORY}", "--disable-usage-stats",
            f"--temp-dir={self.folder / address.rpartition('.')[2]}", "--min-worker-port=0", "--max-worker-port=0",
            f"--dashboard-agent-listen-port={_free_port(address)}", *arguments,
        ]  # fmt: skip
        with (self.folder / f"{address}.log").open("wb") as log:
            self.nodes[address] = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )


@contextlib.contextmanager
def running(told: Mapping[str, str], eventually: Callable[..., None]) -> Iterator[RayNodes]:
    """Run a head; whatever nodes there are at the end are killed."""
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:  # sockets want short paths
        cluster = RayNodes(told, Path(folder))
        try:
            cluster.head()
            eventually(lambda: cluster.cpus() >= 0, within=240)
            yield cluster
        finally:
            for address in reversed(list(cluster.nodes)):
                cluster.kill(address)
