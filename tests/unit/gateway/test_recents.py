"""What the gateway makes of a live feature's file, question by question."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tiphys import recent_values
from tiphys.errors import DataError, RetryableError
from tiphys.recent_values import Values
from tiphys.serving.gateway.metrics import Metrics
from tiphys.serving.gateway.recents import LiveInput, Recents
from tiphys.usecase import UseCase
from usecases.taxi_eta.recent import NAME, RECENT

pytestmark = pytest.mark.unit

TAXI = UseCase("taxi_eta")
STEP = RECENT.step_s
FIRST = 1_561_968_000 // STEP
"""Step of 2019-07-01 08:00."""
MANHATTAN, JFK = 161, 132


def values(steps: dict[int, list[float]] | None = None, **changed: object) -> Values:
    """A file of four steps; Manhattan's values count them."""
    made = steps or {FIRST + n: [n / 8, -0.5, 0.0] for n in range(4)}
    content = {
        "use_case": "taxi_eta", "feature": NAME, "definition": RECENT.definition(), "snapshot": 7,
        "made_at": datetime(2026, 11, 22, tzinfo=UTC), "steps": made,
    }  # fmt: skip
    return Values.model_validate({**content, **changed})


def filled() -> LiveInput:
    """A live feature with those values."""
    found = LiveInput(RECENT, "pickup_time")
    found.take(values())
    return found


def asked(live: LiveInput, moment: float, zone: int = MANHATTAN) -> tuple[float, str]:
    """The value that a question gets, and what its answer's header says of it."""
    features: dict[str, int | float] = {"pickup_zone": zone, "pickup_time": int(moment), NAME: 99.0}
    told = live.fill(features)
    assert told.startswith(f"x-tiphys-live: {NAME}={features[NAME]!r}; ".encode())
    return features[NAME], told.split(b"; ")[1].decode().strip()


def test_a_question_gets_the_value_of_the_last_step_before_its_own_moment() -> None:
    """As of the moment that it is about, whenever it is asked; each group its own."""
    live = filled()
    assert asked(live, FIRST * STEP) == (0.0, "fresh")
    assert asked(live, (FIRST + 1) * STEP - 1) == (0.0, "fresh")
    assert asked(live, (FIRST + 1) * STEP) == (0.125, "fresh")
    assert asked(live, (FIRST + 3) * STEP + 5) == (0.375, "fresh")
    assert asked(live, (FIRST + 3) * STEP + 5, JFK) == (-0.5, "fresh")
    assert live.counts == {"fresh": 5, "stale": 0, "missing": 0}


def test_a_value_is_believed_until_its_bound_and_not_a_second_longer() -> None:
    """Then the fallback stands, told as stale; before the first step nothing is known."""
    live, last = filled(), (FIRST + 3) * STEP
    assert asked(live, last + RECENT.stale_s) == (0.375, "fresh")
    assert asked(live, last + RECENT.stale_s + 1) == (RECENT.fallback, "stale")
    assert asked(live, last + 10 * RECENT.stale_s) == (RECENT.fallback, "stale")
    assert asked(live, FIRST * STEP - 1) == (RECENT.fallback, "missing")
    assert asked(LiveInput(RECENT, "pickup_time"), last) == (RECENT.fallback, "missing")
    assert live.counts == {"fresh": 1, "stale": 2, "missing": 1}


def test_a_gap_is_filled_by_the_step_before_it_as_long_as_that_is_believed() -> None:
    """A run that did not come leaves no hole, nor an old value for ever."""
    live = LiveInput(RECENT, "pickup_time")
    live.take(values({FIRST: [0.25] * 3, FIRST + 40: [0.5] * 3}))
    assert asked(live, (FIRST + 2) * STEP) == (0.25, "fresh")
    assert asked(live, (FIRST + 30) * STEP) == (RECENT.fallback, "stale")
    assert asked(live, (FIRST + 40) * STEP) == (0.5, "fresh")


@pytest.mark.parametrize(
    "wrong",
    [
        {"definition": dataclasses.replace(RECENT, version=2).definition()},
        {"feature": "another"},
        {"steps": {FIRST: [0.0, 0.0]}},
    ],
)
def test_values_that_mean_something_else_are_refused_and_the_last_good_ones_go_on(wrong: dict[str, object]) -> None:
    """A file of another window, of another feature, of other groups."""
    live = filled()
    with pytest.raises(DataError):
        live.take(values(**wrong))
    assert asked(live, (FIRST + 1) * STEP) == (0.125, "fresh")


def test_a_use_case_that_fails_costs_nobody_an_answer() -> None:
    """A group that raises, or is none, is a value that is not known."""

    def broken(_features: object) -> int:
        raise KeyError("zone")

    for group in (broken, lambda _features: 3, lambda _features: -1):
        live = LiveInput(dataclasses.replace(RECENT, group=group), "pickup_time")
        live.take(values())
        assert asked(live, (FIRST + 1) * STEP) == (RECENT.fallback, "missing")


def test_a_file_with_one_byte_altered_anywhere_is_no_file() -> None:
    """Digest, text, or a byte more or less."""
    content = recent_values.dump(values())
    assert recent_values.parse(content) == values()
    for at in range(len(content)):
        with pytest.raises(DataError):
            recent_values.parse(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    for other in (content + b"\n", content[:-1], b"", b"\n", b"x" * (2**22 + 1)):
        with pytest.raises(DataError):
            recent_values.parse(other)


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"steps": {"1": [NaN]}}', b"\xff"])
def test_a_file_with_a_true_digest_and_nothing_in_it_is_refused(text: bytes) -> None:
    """Whatever was written there by somebody else."""
    with pytest.raises(DataError):
        recent_values.parse(hashlib.sha256(text).hexdigest().encode() + b"\n" + text + b"\n")


class Shelf:
    """What is on S3, and how often it was looked at."""

    def __init__(self) -> None:
        """Have nothing."""
        self.content = b""
        self.away = False
        self.looks = 0
        self.reads = 0

    def look(self, address: str, had: str) -> tuple[str, bytes] | None:
        """As the gateway's own does."""
        assert address == "s3://features/taxi_eta/recent.json"
        self.looks += 1
        if self.away:
            message = "S3 is away"
            raise RetryableError(message)
        tag = str(hash(self.content))
        if not self.content or tag == had:
            return None
        self.reads += 1
        return tag, self.content


def following(
    folder: Path, shelf: Shelf, story: Callable[[LiveInput, Callable[[], Awaitable[None]]], Awaitable[None]]
) -> None:
    """Run a story beside a gateway's recents; its second argument waits for one more look."""

    async def run() -> None:
        recents = Recents(shelf.look, folder, period=0.001)
        live = recents.mount(TAXI)
        assert live is not None

        async def look() -> None:
            until = shelf.looks + 2
            while shelf.looks < until:  # noqa: ASYNC110 - it is looked at by a thread
                await asyncio.sleep(0.001)

        recents.start()
        try:
            await story(live, look)
        finally:
            await recents.stop()

    asyncio.run(run())


def test_a_new_file_is_served_and_an_altered_one_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last good one goes on; what did not change is not read again."""
    shelf = Shelf()

    async def story(live: LiveInput, look: Callable[[], Awaitable[None]]) -> None:
        assert asked(live, FIRST * STEP)[1] == "missing"
        shelf.content = recent_values.dump(values())
        await look()
        assert asked(live, (FIRST + 1) * STEP) == (0.125, "fresh")
        await look()
        assert shelf.reads == 1
        whole = recent_values.dump(values({FIRST + 1: [0.75] * 3}))
        shelf.content = whole.replace(b"0.75", b"0.76", 1)
        await look()
        assert asked(live, (FIRST + 1) * STEP) == (0.125, "fresh")
        shelf.content = whole
        await look()
        assert asked(live, (FIRST + 1) * STEP) == (0.75, "fresh")

    following(tmp_path, shelf, story)
    assert len([each for each in caplog.records if "refused" in each.message]) == 1


def test_with_s3_away_what_is_known_goes_on_and_outlives_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, and a file on disk that was altered is not served."""
    shelf = Shelf()
    shelf.content = recent_values.dump(values())

    async def first(live: LiveInput, look: Callable[[], Awaitable[None]]) -> None:
        await look()
        await look()
        shelf.away = True
        await look()
        await look()
        assert asked(live, (FIRST + 1) * STEP) == (0.125, "fresh")

    async def again(live: LiveInput, look: Callable[[], Awaitable[None]]) -> None:
        assert asked(live, (FIRST + 1) * STEP) == (0.125, "fresh")
        await look()

    async def damaged(live: LiveInput, _look: Callable[[], Awaitable[None]]) -> None:
        assert asked(live, (FIRST + 1) * STEP) == (RECENT.fallback, "missing")

    following(tmp_path, shelf, first)
    assert len([each for each in caplog.records if "cannot be read" in each.message]) == 1
    following(tmp_path, shelf, again)
    kept = tmp_path / "taxi_eta.json"
    kept.write_bytes(kept.read_bytes().replace(b"0.125", b"0.126"))
    following(tmp_path, shelf, damaged)


def test_a_use_case_without_one_is_none(tmp_path: Path) -> None:
    """A kettle's question stays as it is."""
    assert Recents(Shelf().look, tmp_path).mount(UseCase("tests.usecases.tiny")) is None


def test_what_was_used_is_counted() -> None:
    """For Prometheus, with the age of the values."""
    live = filled()
    for moment in (FIRST * STEP, FIRST * STEP, FIRST * STEP - 1):
        asked(live, moment)
    text = Metrics(list, {"taxi_eta": live}).text().decode()
    assert 'tiphys_gateway_live_features_total{state="fresh",use_case="taxi_eta"} 2.0' in text
    assert 'tiphys_gateway_live_features_total{state="missing",use_case="taxi_eta"} 1.0' in text
    assert 'tiphys_gateway_live_feature_age_seconds{use_case="taxi_eta"}' in text
