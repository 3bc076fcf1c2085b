"""Options of the whole suite."""

from __future__ import annotations

import random
import signal
from collections.abc import Generator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seed N` repeats the random choices of an earlier run, which its header and its failures print."""
    parser.addoption("--seed", type=int, default=None, help="seed of the random kills (default: another each time)")
    parser.addoption(
        "--thorough", action="store_true", help="all examples and simulated runs instead of a share of them"
    )
    parser.addoption("--argo-cli", default="", help="an `argo` of version 4, to lint and to ask the API with")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed of this run; hear Ctrl-C even where the shell that started us does not, so that programs we start do."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--seed") is None:
        config.option.seed = random.SystemRandom().randrange(1_000_000)


@pytest.hookimpl(tryfirst=True)  # before xdist puts the group into the test's id
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need servers go to one worker, which starts them once; those that build images take turns."""
    for item in items:
        wanted = set(getattr(item, "fixturenames", ()))
        if {"stack", "new_stack"} & wanted:
            item.add_marker(pytest.mark.xdist_group("servers"))


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seed, so that a failure can be repeated."""
    return f"seed of random choices: {config.getoption('--seed')}"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run's random choices."""
    return int(request.config.getoption("--seed"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logs may be any text, halves of surrogate pairs too; a report travels between processes as UTF-8."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]  # fmt: skip
    return report
