"""How many questions are let in: fewer while answers are slow, never fewer than was promised."""

from __future__ import annotations

import heapq

import pytest

from tiphys.serving.gateway.admission import Admission, Paced

pytestmark = pytest.mark.unit

GOOD = 0.03


def flood(places: Admission, *, each: float, gap: float, seconds: float) -> tuple[list[float], int]:
    """Ask every ``gap`` seconds a server that takes ``each`` for one after the other; returns latencies and refusals."""
    took: list[float] = []
    leaving: list[tuple[float, float]] = []
    refused, free = 0, 0.0
    for now in (at * gap for at in range(int(seconds / gap))):
        while leaving and leaving[0][0] <= now:
            left, arrived = heapq.heappop(leaving)
            places.leave()
            places.learn(left - arrived)
            took.append(left - arrived)
        if places.full() is not None:
            refused += 1
            continue
        places.enter()
        free = max(free, now) + each
        heapq.heappush(leaving, (free, now))
    return took, refused


def test_who_is_let_in_under_ten_times_the_load_is_answered_in_time() -> None:
    """Where a fixed number of places has everybody wait for all of them."""
    each = 0.001
    paced, _ = flood(Paced(256, 20, GOOD, begin=40), each=each, gap=each / 10, seconds=10)
    fixed, _ = flood(Admission(256), each=each, gap=each / 10, seconds=10)
    late = sum(1 for seconds in paced[1000:] if seconds > 1.3 * GOOD)
    assert late == 0
    assert len(paced) > 9_900  # and the server is kept busy
    assert sorted(fixed)[len(fixed) // 2] > 8 * GOOD


def test_there_are_never_fewer_places_than_promised() -> None:
    """However slow the answers are: fewer questions would not be what was promised either."""
    places = Paced(256, 20, GOOD, begin=40)
    flood(places, each=0.1, gap=0.01, seconds=60)
    assert places.most == 20


def test_places_come_back_when_answers_are_quick_again() -> None:
    """And more than there were, while that many are used and quick."""
    places = Paced(256, 20, GOOD, begin=40)
    flood(places, each=0.1, gap=0.01, seconds=60)
    while places.taken:
        places.leave()
    _, refused = flood(places, each=0.0001, gap=0.0002, seconds=5)
    assert refused == 0
    flood(places, each=0.0001, gap=0.00005, seconds=10)
    assert places.most > 100


def test_slow_answers_to_few_questions_take_no_places() -> None:
    """They are not slow because of how many there are."""
    places = Paced(256, 20, GOOD, begin=40)
    for _ in range(1000):
        places.enter()
        places.leave()
        places.learn(1.0)
    assert places.most == 40


def test_one_slow_answer_in_thirty_takes_no_places() -> None:
    """The SLO is a p95: a pause now and then is within it."""
    places = Paced(256, 20, GOOD, begin=40)
    for _ in range(39):
        places.enter()
    for at in range(3000):
        places.enter()
        places.leave()
        places.learn(0.1 if at % 30 == 0 else 0.001)
    assert places.most > 40
