"""One real stack for a whole test session: every test that needs servers asks for the fixture ``stack``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from minio import Minio

from tests.e2e.registries import Registry, registries
from tiphys import __version__
from tiphys import stack as servers
from tiphys.errors import TiphysError
from tiphys.images.builders import Builder
from tiphys.images.tools import find_builder, need
from tiphys.settings import PROJECT, S3Settings, StackSettings, load, stack_settings
from tiphys.stack.ports import Ports, is_taken
from tiphys.step import contracts


@pytest.fixture
def new_registry(tmp_path: Path) -> Iterator[Callable[..., Registry]]:
    """``new_registry(...)`` starts a registry of images; skipped where no program for it is installed."""
    with registries(tmp_path) as new:
        yield new


@dataclass(frozen=True)
class Stack:
    """A running stack: its settings, the data of ConfigMap ``tiphys`` and of every Secret ``tiphys-<name>``."""

    settings: StackSettings
    config: dict[str, str]
    secrets: dict[str, dict[str, str]]

    def environment(self, component: str) -> dict[str, str]:
        """What a step of that component finds in its environment."""
        return {**self.config, **self.secrets[component]}

    def s3(self, principal: str) -> Minio:
        """An S3 client with that principal's own key."""
        settings = load(S3Settings, self.environment(principal))
        return Minio(settings.endpoint.removeprefix("http://"), settings.access_key, settings.secret_key, secure=False)


def _free_base() -> int:
    """The first of enough free ports in a row, below those that the kernel hands out."""
    first = 20000 + 200 * (os.getpid() % 60)  # sessions that run at once start their search apart
    for base in (*range(first, 32000, 200), *range(20000, first, 200)):
        if not any(is_taken(port) for port in Ports(base).every()):
            return base
    pytest.fail("no 100 free ports in a row below 32000")


@pytest.fixture(scope="session")
def new_stack() -> Callable[[Path], StackSettings]:
    """``new_stack(home)`` makes settings for a stack of a test's own, which the test starts and stops."""
    return _settings_in


def _settings_in(home: Path) -> StackSettings:
    """Settings of a stack of its own; Spark's jars come from where the set-up put them."""
    jars = stack_settings().home / "jars"
    if jars.is_dir():
        (home / "jars").symlink_to(jars)
    return StackSettings(home=home, port_base=_free_base(), java_home=stack_settings().java_home)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """``eventually(what)`` waits until ``what()`` holds."""
    return _eventually


def _eventually(what: Callable[[], bool], within: float = 90.0) -> None:
    until = time.monotonic() + within
    while not what():
        if time.monotonic() > until:
            pytest.fail(f"not so after {within:.0f} s: {what.__doc__ or what.__name__}")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The session's stack: started at the first test that asks, stopped at the end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a session that is told to end stops its servers
    for name in ("TIPHYS_REGISTRY", "TIPHYS_REGISTRY_AUTH", "TIPHYS_TRITON_IMAGE"):
        os.environ.pop(name, None)  # images of tests are nothing for the registry of who runs them
    settings = _settings_in(tmp_path_factory.mktemp("stack"))
    with _stopped_whatever_happens(settings):
        info = servers.up(settings, contracts(), lambda _: None)
        yield Stack(settings, info.config_map, info.secrets)


@contextlib.contextmanager
def _stopped_whatever_happens(settings: StackSettings) -> Iterator[None]:
    """Stop the servers at the end, be it that this process is killed: a worker is when its session is interrupted."""
    environment = {**os.environ, "TIPHYS_HOME": str(settings.home), "TIPHYS_PORT_BASE": str(settings.port_base)}
    watch = ["sh", "-c", 'cat > /dev/null; exec "$0" -m tiphys down', sys.executable]
    watcher = subprocess.Popen(
        watch, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment, cwd=settings.project,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        watcher.communicate()


@pytest.fixture(scope="session")
def light_images(container_tools: Builder) -> dict[str, str]:
    """Images of three light steps, really built on this machine, by name: from a bare Debian if nothing is here yet."""
    return _images(container_tools, "ingest", "integration-test", "load-test")


@pytest.fixture(scope="session")
def all_images(container_tools: Builder) -> dict[str, str]:
    """The image of every step, really built on this machine, by name."""
    return _images(container_tools, *(contract.template for contract in contracts().values()))


@pytest.fixture(scope="session")
def container_tools() -> Builder:
    """What builds images here; it and runc are installed where they can be, else the test is skipped."""
    if os.geteuid() != 0:
        pytest.skip("images are built and run as root here")
    try:
        builder = find_builder("buildah")
        need("runc")
    except TiphysError as error:
        pytest.skip(f"no program here builds and runs images: {error}")
    return builder


def _images(builder: Builder, *names: str) -> dict[str, str]:
    command = [sys.executable, "-m", "tiphys", "images", "build", "--builder", "buildah", "--base", "bootstrap", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    if done.returncode != 0:
        pytest.fail(f"images can't be built: {done.stdout}{done.stderr}")
    return {name: f"{builder.prefix}/{name}:{__version__}" for name in names}
