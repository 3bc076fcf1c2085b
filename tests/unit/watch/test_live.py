"""What the gateway counted of live users: it can roll a candidate back, and none of it is needed to promote."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tiphys.watch.answers import PARTS, Scale, Tolerances
from tiphys.watch.comparison import Comparison
from tiphys.watch.live import Live

pytestmark = pytest.mark.unit
SCALE = Scale(p95_ms=50.0, p99_ms=100.0, close=120.0, unit="s")
BOUNDS = [10.0, 50.0, 100.0]


def arm(
    name: str, answers: int, *, late: int = 0, generation: int = 7, version: str = "3", **failures: int
) -> dict[str, Any]:
    """One arm as the gateway tells of it."""
    latency = {"bounds": BOUNDS, "counts": [answers - late, 0, late, 0]}
    return {
        "arm": name, "version": version, "generation": generation, "answers": answers, "failures": failures,
        "latency_ms": latency, "pairs": {"count": 0, "sum_log_ratio": 0.0, "sum_squares": 0.0},
    }  # fmt: skip


def watching() -> Live:
    """Watches since nothing was counted."""
    live = Live(SCALE)
    live.take(told(), "3", 7)
    return live


def told(*arms: dict[str, Any], started: str = "now") -> dict[str, Any]:
    """The gateway's answer."""
    return {"started": started, "arms": list(arms)}


def harms(live: Live) -> list[str]:
    """Measures that are proven to be worse than tolerated."""
    return [each.measure for each in live.findings() if each.state == "harm"]


def test_a_candidate_that_fails_where_production_does_not_is_found() -> None:
    """Twenty failures among sixty live questions."""
    live = watching()
    live.take(told(arm("canary", 40, error=20), arm("production", 500)), "3", 7)
    assert harms(live) == ["live failures"]


def test_one_answer_that_is_no_number_is_enough() -> None:
    """The gateway kept it back from the user; it happened all the same."""
    live = watching()
    live.take(told(arm("canary", 400, not_finite=1), arm("production", 500)), "3", 7)
    assert harms(live) == ["live unsafe"]


def test_late_answers_count_against_productions() -> None:
    """Late in both arms is the machine's fault; late in one is the candidate's."""
    both, one = watching(), watching()
    both.take(told(arm("canary", 200, late=100), arm("production", 200, late=100)), "3", 7)
    one.take(told(arm("canary", 200, late=100), arm("production", 200)), "3", 7)
    assert harms(both) == []
    assert harms(one) == ["live late"]


def test_an_arm_that_nobody_asked_is_told_as_that() -> None:
    """No share of nothing: on the first release production has nothing to answer with."""
    live = watching()
    live.take(told(arm("canary", 209)), "3", 7)
    said = [each.says for each in live.findings()]
    assert said[0] == "all askers, failures: canary 0.0% of 209 (at least 0.0%), production not asked yet"
    assert "nan" not in "".join(said)


def test_counts_are_taken_once_and_anew_when_the_gateway_starts_anew() -> None:
    """The same counts again are no news; smaller ones of another start are."""
    live = watching()
    for _ in range(3):
        live.take(told(arm("canary", 100)), "3", 7)
    assert live.asked == 100
    live.take(told(arm("canary", 150)), "3", 7)
    live.take(told(arm("canary", 30), started="later"), "3", 7)
    assert live.asked == 180


def test_an_earlier_candidate_in_the_same_arm_does_not_count() -> None:
    """Its generation differs."""
    live = watching()
    live.take(told(arm("canary", 5, generation=6, error=95), arm("production", 500)), "3", 7)
    assert live.asked == 0
    assert harms(live) == []


def test_shadow_answers_far_from_productions_are_found_when_there_are_many() -> None:
    """Sums are all that is known of them."""
    live = watching()
    shadow = arm("canary", 0)
    shadow["pairs"] = {"count": 400, "sum_log_ratio": 400 * 0.3, "sum_squares": 400 * (0.3**2 + 0.1**2)}
    live.take(told(shadow), "3", 7)
    assert harms(live) == ["live shift"]


def test_what_was_counted_before_is_nobodys_now() -> None:
    """The same image in an earlier trial, and production's hours before this one: neither is judged."""
    live = Live(SCALE)
    shadow = arm("canary", 40, error=20, not_finite=1)
    shadow["pairs"] = {"count": 400, "sum_log_ratio": 400 * 0.3, "sum_squares": 400 * (0.3**2 + 0.1**2)}
    live.take(told(shadow, arm("production", 500)), "3", 7)
    assert (live.asked, harms(live)) == (0, [])
    assert [each.measure for each in live.findings()] == ["live failures", "live late"]


def test_a_poll_without_an_answer_changes_nothing() -> None:
    """The gateway did not answer once: what it counted is not counted twice when it does again."""
    live = watching()
    for each in (told(arm("canary", 100, not_finite=0)), {}, told(arm("canary", 100))):
        live.take(each, "3", 7)
    assert live.asked == 100


def test_only_what_production_serves_now_is_compared_with() -> None:
    """Failures of a version that it has left excuse no candidate, and are no news when it comes back."""
    live = Live(SCALE)
    left = arm("production", 0, version="1", generation=1, error=400)
    live.take(told(left, arm("production", 10, version="2", generation=2)), "3", 7)
    live.take(told(arm("canary", 40, error=20), left, arm("production", 510, version="2", generation=2)), "3", 7)
    assert harms(live) == ["live failures"]
    back = arm("production", 0, version="1", generation=3, error=400)
    live.take(told(arm("canary", 40, error=20), back, arm("production", 510, version="2", generation=2)), "3", 7)
    assert harms(live) == ["live failures"]


def test_all_that_can_roll_back_has_one_alpha_together() -> None:
    """Riders' measures and the gateway's counts: the chance of a false alarm is promised for both."""
    scale = Scale(p95_ms=50.0, p99_ms=100.0, close=120.0, unit="s", edges=(1.0, 2.0, 3.0))
    alone = Comparison(scale)._measures.values()
    known = Live(scale)._known
    limits = [each.sequence._limits[0] for each in alone if each.name != "all failures"]
    limits += [each.sequence._limits[1] for each in alone if each.both_ways]
    limits += [known["canary", each]._limits[0] for each in ("failures", "late")]
    limits += [known["production", each]._limits[1] for each in ("failures", "late")]
    alpha = Tolerances().alpha
    assert sum(math.exp(-each) for each in limits) + alpha * PARTS["live shift"] <= alpha * 1.0001
