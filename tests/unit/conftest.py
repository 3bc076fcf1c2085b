"""What unit tests share: how much chance they may try (all of it with `--thorough`, `make test-long`), and few threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

EXAMPLES, ALL_EXAMPLES = 40, 400
"""Of each property, other ones each time: a rare one is found by many runs, or by a thorough one."""
SHARE = 4


def pytest_configure(config: pytest.Config) -> None:
    """A property has as many examples as this run has time for, unless it says otherwise."""
    examples = ALL_EXAMPLES if config.getoption("--thorough") else EXAMPLES
    settings.register_profile("tiphys", deadline=None, max_examples=examples)
    settings.load_profile("tiphys")


@pytest.fixture(scope="session")
def often(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """``often(runs)`` is how many of so many simulated runs are made: a quarter, or all of them."""
    whole = bool(request.config.getoption("--thorough"))
    return lambda runs: runs if whole else runs // SHARE


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch as the steps ask models: threads that spin for so little work only wait for one another."""
    import torch  # noqa: PLC0415 - seconds, for the few tests that ask

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
