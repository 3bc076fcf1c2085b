"""Which arrivals a city lives on: made up by the use case, or taken from files of real rides; and what is laid over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tiphys.errors import SettingsError

if TYPE_CHECKING:
    from tiphys.usecase import Arrival, Scenario, UseCase

_SCENARIO = 4
"""A stream of chance of its own, hour by hour, so that a city that begins later has the same rides happen to it."""


def made_up(use_case: UseCase, start: float, end: float, *, rate: float, seed: int) -> Iterator[Arrival]:
    """Arrivals of the use case's simulator: ``rate`` rides an hour, from ``start`` up to ``end``, seconds since 1970."""
    found: Iterator[Arrival] = use_case.part("simulator").arrivals(start, end, rate=rate, seed=seed)
    return found


def scenario(use_case: UseCase, name: str) -> Scenario:
    """Look a scenario up by its name.

    Raises:
        SettingsError: the use case has none of that name.
    """
    known: dict[str, Scenario] = use_case.part("scenarios").SCENARIOS
    if name not in known:
        message = f"use case {use_case.name!r} has no scenario {name!r}; it has {', '.join(sorted(known))}"
        raise SettingsError(message)
    return known[name]


def changed(arrivals: Iterable[Arrival], by: Scenario, since: float, seed: int) -> Iterator[Arrival]:
    """The same arrivals, from the moment ``since`` on as the scenario has them."""
    import numpy as np  # noqa: PLC0415 - a tenth of a second, for who needs chance

    hour, chance = -1, np.random.default_rng()
    for each in arrivals:
        if (now := int(each.moment // 3600)) != hour:
            hour, chance = now, np.random.default_rng([seed, _SCENARIO, now])
        other = each if each.moment < since else by.change(each, chance)
        if other is not None:
            yield other


def replayed(use_case: UseCase, source: str, start: float, end: float) -> Iterator[Arrival]:
    """Arrivals that really came, from files in the schema of data.py: a folder, or ``s3://BUCKET/PREFIX/``.

    Raises:
        SettingsError: the use case's simulator cannot replay.
        DataError: the files are none of its, or have no row of that time.
        RetryableError: S3 is away.
    """
    from tiphys.serving.livecity import files  # noqa: PLC0415 - Arrow takes a second, for who replays

    replay = getattr(use_case.part("simulator"), "replay", None)
    if replay is None:
        message = f"the simulator of use case {use_case.name!r} has no replay(table): it cannot ask what a file's rows would have"
        raise SettingsError(message)
    window = (datetime.fromtimestamp(each, UTC).replace(tzinfo=None) for each in (start, end))
    found: Iterator[Arrival] = replay(files.read(source, use_case.data, *window))
    return found
