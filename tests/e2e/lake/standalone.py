"""A standalone Spark cluster on this machine: a master and workers, each a process of its own, with authentication."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyspark

_CLASSES = "org.apache.spark.deploy"
_SPARK = Path(pyspark.__file__).parent


@dataclass
class Standalone:
    """The cluster's address, its secret, its workers by name, each with a folder of what its executors wrote."""

    url: str
    folder: Path
    secret: str
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def secret_conf(self) -> str:
        """What a job must be told and nobody else may know."""
        return f"spark.authenticate.secret {self.secret}\n"

    def add(self, name: str) -> None:
        """Start a worker with one core."""
        told = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0", "--cores", "1", "--memory", "768m"]
        work = self.folder / name
        self.workers[name] = self._start("worker.Worker", *told, "--work-dir", str(work), self.url, log=name)

    def kill(self, name: str) -> None:
        """Kill a worker with its executors, as a node that fails does."""
        for each in self.processes(name):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.workers[name].wait(timeout=30)

    def processes(self, name: str) -> list[psutil.Process]:
        """The worker's process and its executors'."""
        top = psutil.Process(self.workers[name].pid)
        return [*top.children(recursive=True), top]

    def log_of(self, name: str) -> str:
        """All that the executors of that worker said."""
        return "".join(each.read_text() for each in sorted((self.folder / name).glob("app-*/*/std*")))

    def _start(self, program: str, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        conf = self.folder / "cluster.conf"
        if not conf.exists():
            conf.touch(mode=0o600)
            conf.write_text(
                f"spark.master.rest.enabled false\nspark.authenticate true\nspark.network.crypto.enabled true\n{self.secret_conf}"
            )
        java = (
            str(Path(os.environ["JAVA_HOME"]) / "bin" / "java") if os.environ.get("JAVA_HOME") else shutil.which("java")
        )
        command = [str(java), "-Xmx192m", "-XX:+UseSerialGC", "-cp", f"{_SPARK}/jars/*", f"{_CLASSES}.{program}"]
        environment = {
            "PATH": os.environ["PATH"],
            "SPARK_HOME": str(_SPARK),
            "SPARK_SCALA_VERSION": "2.13",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        environment |= {"SPARK_LOCAL_DIRS": str(self.folder / "local")}
        with (self.folder / f"{log}.log").open("wb") as output:
            return subprocess.Popen(
                [*command, "--properties-file", str(conf), *arguments], env=environment, cwd=self.folder,
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @contextlib.contextmanager
    def started(self, *workers: str) -> Iterator[None]:
        """Run the master and these workers, and end them."""
        port = self.url.rpartition(":")[2]
        told = ["--host", "127.0.0.1", "--port", port, "--webui-port", "0"]
        master = self._start("master.Master", *told, log="master")
        try:
            for name in workers:
                self.add(name)
            yield
        finally:
            for each in self.workers:
                if self.workers[each].poll() is None:
                    self.kill(each)
            master.kill()
            master.wait()


def new(folder: Path) -> Standalone:
    """Make the cluster's settings; nothing runs yet."""
    (folder / "local").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Standalone(f"spark://127.0.0.1:{port}", folder, secrets.token_hex(16))
