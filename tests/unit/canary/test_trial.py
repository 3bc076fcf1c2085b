"""What a trial makes of riders' answers and of the gateway's count together."""

from __future__ import annotations

import pytest

from components.canary.trial import Trial
from tiphys.watch.answers import Pair, Said, Scale
from tiphys.watch.comparison import Comparison
from tiphys.watch.live import Live

pytestmark = pytest.mark.unit
SCALE = Scale(p95_ms=50.0, p99_ms=100.0, close=10.0, unit="s")


def trial(truth: float) -> Trial:
    """Production answers a half more than the candidate, to riders and in the shadow; ``truth`` is what came of it."""
    made = Trial(Comparison(SCALE), Live(SCALE))
    made.comparison.add(
        Pair(Said(100.0 + at / 10, 5.0), Said(150.0 + at / 10, 5.0), truth + at / 10) for at in range(200)
    )
    far = {"count": 400, "sum_log_ratio": -400 * 0.4, "sum_squares": 400 * (0.4**2 + 0.05**2)}
    made.live.take({"started": "now", "arms": []}, "3", 7)
    arm = {"arm": "canary", "version": "3", "generation": 7, "answers": 0, "failures": {}, "pairs": far}
    made.live.take({"started": "now", "arms": [arm]}, "3", 7)
    return made


def test_other_answers_in_the_shadow_are_excused_by_outcomes_as_riders_are() -> None:
    """Who is right decides, not who serves now."""
    assert trial(truth=100.0).judge().verdict != "rollback"
    refused = trial(truth=150.0).judge()
    assert refused.verdict == "rollback"
    assert any("shadow" in each for each in refused.reasons)
