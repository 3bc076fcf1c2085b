"""How a model is asked: rows become tensors and readings again, travel together, and are not asked for in vain."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gateway.model_server import OUTPUTS, Triton, answer, parsed, three
from tiphys.serving.gateway.breaker import MOST_FAILURES, REST, WINDOW, Breaker
from tiphys.serving.gateway.lane import MOST_ROWS, SLOTS, Deadlines, Lane, Row
from tiphys.serving.gateway.tensors import Failed, Reading, Tensors
from tiphys.serving.gateway.upstream import Answer

pytestmark = pytest.mark.unit

INPUTS = [("litres", "float32"), ("celsius", "int64")]


def tensors(outputs: list[str] | None = None) -> Tensors:
    """Version 7 of the kettle's model."""
    return Tensors("127.0.0.1:1", "tiny", "7", INPUTS, outputs or OUTPUTS)


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(rows=st.lists(st.tuples(floats, st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=70))
def test_rows_become_one_array_an_input(rows: list[tuple[float, int]]) -> None:
    """Little-endian, one after the other, with their sizes in the header; the version is asked by its number."""
    made = tensors()
    request = made.request([made.pack({"celsius": celsius, "litres": litres}) for litres, celsius in rows])
    head, header, body = parsed(request)
    assert head.startswith(b"POST /v2/models/tiny/versions/7/infer HTTP/1.1\r\n")
    count = len(rows)
    assert [(each["name"], each["datatype"], each["shape"]) for each in header["inputs"]] == [
        ("litres", "FP32", [count, 1]),
        ("celsius", "INT64", [count, 1]),
    ]
    assert [each["name"] for each in header["outputs"]] == OUTPUTS
    assert struct.unpack(f"<{count}f{count}q", body) == (*(row[0] for row in rows), *(row[1] for row in rows))


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"litres": 1.0}, "celsius"),
        ({"litres": 1.0, "celsius": 2**63}, "celsius"),
        ({"litres": 1.0, "celsius": 1.5}, "celsius"),
        ({"litres": 1e39, "celsius": 1}, "litres"),
        ({"litres": math.nan, "celsius": 1}, "litres"),
        ({"litres": math.inf, "celsius": 1}, "litres"),
    ],
)
def test_a_row_that_is_no_row_is_refused_before_it_travels(row: dict[str, Any], named: str) -> None:
    """The message names the input."""
    with pytest.raises(ValueError, match=named):
        tensors().pack(row)


def test_readings_are_taken_by_name_whatever_their_order() -> None:
    """Triton may answer in another order than it was asked in."""
    found = tensors().read(answer({"seconds_high": [3.0], "seconds": [2.0], "seconds_low": [1.0]}), 1)
    assert found == [(2.0, 1.0, 3.0)]
    assert tensors(["seconds"]).read(answer({"seconds": [2.0]}), 1) == [(2.0, None, None)]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("output", OUTPUTS)
def test_what_is_not_finite_fails_only_its_row(wrong: float, output: str) -> None:
    """In the value or in the interval."""
    columns = {name: [1.0, wrong if name == output else 1.0, 1.0] for name in OUTPUTS}
    found = tensors().read(answer(columns), 3)
    assert isinstance(found, list)
    assert [getattr(each, "code", "") for each in found] == ["", "not_finite", ""]


LARGEST = 3.4028234663852886e38


def test_sums_that_overflow_are_no_failure() -> None:
    """Each number is looked at where the quick look at their sum does not tell."""
    found = tensors().read(answer({"seconds": [LARGEST], "seconds_low": [LARGEST], "seconds_high": [LARGEST]}), 1)
    assert found == [(LARGEST, LARGEST, LARGEST)]


@pytest.mark.parametrize(
    "wrong",
    [
        three(1.0),
        three(1.0, 2.0, 3.0),
        answer({"seconds": [1.0, 2.0]}),
        answer({name: [1.0, 2.0] for name in OUTPUTS}, model_version="8"),
        Answer(200, {}, b"{}"),
        Answer(200, {b"inference-header-content-length": b"2"}, b"{}"),
        Answer(200, {b"inference-header-content-length": b"9"}, b"not json!"),
        Answer(200, {b"inference-header-content-length": b"2"}, b"[]"),
        Answer(200, {b"inference-header-content-length": b"x"}, b""),
    ],
)
def test_an_answer_of_another_form_fails_all_its_rows(wrong: Answer) -> None:
    """Another number of rows, outputs missing, another version, no V2 at all."""
    found = tensors().read(wrong, 2)
    assert isinstance(found, Failed)
    assert found.code == "wrong_shape"


def test_a_version_that_is_not_loaded_is_known_from_one_that_fails() -> None:
    """Triton says so in words."""
    gone = tensors().read(
        Answer(503, {}, b'{"error":"Request for unknown model: \'tiny\' version 7 is not at ready state"}'), 1
    )
    failed = tensors().read(Answer(500, {}, b'{"error":"ONNX Runtime refused the request"}'), 1)
    assert (getattr(gone, "code", ""), getattr(failed, "code", "")) == ("gone", "error")


def within_a_loop(test: Callable[[Triton, Lane, Callable[..., Row]], Awaitable[None]]) -> dict[float, Reading | Failed]:
    """Run a test of a lane; what became of each row, by its litres."""
    outcomes: dict[float, Reading | Failed] = {}

    async def run() -> None:
        triton = Triton()
        lane = Lane(tensors(), triton, Deadlines())  # type: ignore[arg-type]  # it sends, which is all that is used

        def ask(litres: float, seconds: float = 60.0, *, bulk: bool = False) -> Row:
            def done(outcome: Reading | Failed) -> None:
                assert litres not in outcomes
                outcomes[litres] = outcome

            deadline = asyncio.get_running_loop().time() + seconds
            row = Row(lane.tensors.pack({"litres": litres, "celsius": 1}), deadline, done, bulk=bulk)
            lane.ask(row)
            return row

        await test(triton, lane, ask)

    asyncio.run(run())
    return outcomes


def test_rows_of_one_moment_travel_together_and_others_wait_for_a_slot() -> None:
    """What comes while all slots are taken goes as one request as soon as one is free; riders before bulk."""

    async def test(triton: Triton, _lane: Lane, ask: Callable[..., Row]) -> None:
        for moment in range(SLOTS):
            ask(10.0 * moment + 1)
            ask(10.0 * moment + 2)
            await asyncio.sleep(0)
        assert [litres for litres, _ in triton.asked] == [[10.0 * each + 1, 10.0 * each + 2] for each in range(SLOTS)]
        for number in range(MOST_ROWS):
            ask(1000.0 + number, bulk=True)
        ask(500.0)
        await asyncio.sleep(0)
        assert len(triton.asked) == SLOTS
        triton.say()
        litres = triton.asked[-1][0]
        assert len(litres) == MOST_ROWS
        assert litres[0] == 500.0
        while triton.asked:
            triton.say()

    outcomes = within_a_loop(test)
    assert len(outcomes) == 2 * SLOTS + MOST_ROWS + 1
    assert all(not isinstance(each, Failed) and each[0] == litres for litres, each in outcomes.items())


def test_one_row_that_breaks_its_request_takes_no_other_along() -> None:
    """The request is asked again in halves until the row is alone."""

    async def test(triton: Triton, _lane: Lane, ask: Callable[..., Row]) -> None:
        for number in range(20):
            ask(float(number))
        await asyncio.sleep(0)
        while triton.asked:
            broken = 13.0 in triton.asked[0][0]
            triton.say(Answer(500, {}, b'{"error": "Gather: index out of bounds"}') if broken else None)

    outcomes = within_a_loop(test)
    assert [litres for litres, each in outcomes.items() if isinstance(each, Failed)] == [13.0]
    assert len(outcomes) == 20


def test_late_rows_are_given_up_one_by_one() -> None:
    """Each at its own deadline; what comes for it afterwards is nobody's."""

    async def test(triton: Triton, _lane: Lane, ask: Callable[..., Row]) -> None:
        ask(1.0, 0.02)
        ask(2.0)
        await asyncio.sleep(0.06)
        triton.say()

    outcomes = within_a_loop(test)
    late = outcomes[1.0]
    assert isinstance(late, Failed)
    assert late.code == "late"
    assert outcomes[2.0] == (2.0, 0.0, 99.0)


def test_who_asks_again_when_told_takes_no_other_s_deadline_away() -> None:
    """A canary's late row is asked of production from within; other rows are given up at their own time all the same."""

    async def test(_triton: Triton, lane: Lane, ask: Callable[..., Row]) -> None:
        now = asyncio.get_running_loop().time()

        def again(_outcome: Reading | Failed) -> None:
            ask(3.0, 60.0)

        lane.ask(Row(lane.tensors.pack({"litres": 1.0, "celsius": 1}), now + 0.02, again))
        ask(2.0, 0.06)
        await asyncio.sleep(0.5)  # its own deadline is long over then, the other's is not

    assert getattr(within_a_loop(test).get(2.0), "code", "") == "late"


@pytest.mark.parametrize(
    ("status", "requests"), [(400, 2 * MOST_ROWS - 1), (500, 2 * MOST_ROWS - 1), (429, 1), (503, 1)]
)
def test_rows_are_asked_in_halves_only_where_one_may_be_at_fault(status: int, requests: int) -> None:
    """A server that is overloaded would get 127 requests instead of one."""
    asked = 0

    async def test(triton: Triton, _lane: Lane, ask: Callable[..., Row]) -> None:
        nonlocal asked
        for number in range(MOST_ROWS):
            ask(float(number))
        await asyncio.sleep(0)
        while triton.asked:
            asked += 1
            triton.say(Answer(status, {}, b'{"error": "no"}'))

    assert {getattr(each, "code", "") for each in within_a_loop(test).values()} == {"error"}
    assert asked == requests


def test_rows_that_were_given_up_do_not_travel() -> None:
    """A client that left while its question waited costs Triton nothing."""

    async def test(triton: Triton, _lane: Lane, ask: Callable[..., Row]) -> None:
        for moment in range(SLOTS):
            ask(float(moment))
            await asyncio.sleep(0)
        ask(100.0).give_up()
        ask(101.0)
        triton.say()
        assert triton.asked[-1][0] == [101.0]

    assert 100.0 not in within_a_loop(test)


def test_a_breaker_opens_after_five_failures_of_the_last_twenty() -> None:
    """It rests, tries one question, and closes when that is answered."""
    breaker = Breaker()
    for _ in range(MOST_FAILURES - 1):
        breaker.failed(0.0)
    for _ in range(WINDOW):
        breaker.succeeded()
    for _ in range(MOST_FAILURES - 1):
        breaker.failed(0.0)
    assert breaker.allows(0.0)
    breaker.failed(0.0)
    assert not breaker.allows(REST / 2)
    assert [breaker.allows(REST), breaker.allows(REST)] == [True, False]
    breaker.failed(REST)
    assert not breaker.allows(1.5 * REST)
    assert breaker.allows(2 * REST)
    breaker.succeeded()
    assert breaker.state == "closed"
    assert breaker.opened == 1


def test_a_trial_without_an_outcome_is_followed_by_another() -> None:
    """A client that leaves during the trial does not leave the model alone for ever."""
    breaker = Breaker()
    for _ in range(MOST_FAILURES):
        breaker.failed(0.0)
    assert breaker.allows(REST)
    assert not breaker.allows(1.5 * REST)
    assert breaker.allows(2 * REST)


def test_what_was_asked_before_it_opened_does_not_close_a_breaker() -> None:
    """Only the trial does."""
    breaker = Breaker()
    for _ in range(MOST_FAILURES):
        breaker.failed(0.0)
    breaker.succeeded()
    assert breaker.state == "open"
    assert breaker.allows(REST)
    breaker.succeeded()
    assert breaker.state == "closed"


def test_a_canary_s_breaker_stays_open() -> None:
    """It takes a new release to ask it again."""
    breaker = Breaker(rest=None)
    for _ in range(MOST_FAILURES):
        breaker.failed(0.0)
    breaker.succeeded()
    assert not breaker.allows(1e9)


@given(outcomes=st.lists(st.booleans(), max_size=100))
def test_a_breaker_counts_as_its_definition_says(outcomes: list[bool]) -> None:
    """It is open once five of some twenty answers in a row had failed, and not before."""
    breaker = Breaker(rest=None)
    for number, failed in enumerate(outcomes):
        breaker.failed(0.0) if failed else breaker.succeeded()
        windows = [outcomes[max(0, end - WINDOW) : end] for end in range(1, number + 2)]
        assert (breaker.state == "open") == any(sum(each) >= MOST_FAILURES for each in windows)
