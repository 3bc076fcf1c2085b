"""The canary's judge: whom it rolls back and after how many answers, whom it promotes, and when it says neither."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from tiphys.watch.answers import Judgement, Pair, Said, Scale, Tolerances
from tiphys.watch.comparison import Comparison, deciles

pytestmark = pytest.mark.unit
Faults = Callable[[float, np.random.Generator], Said]
TYPICAL = np.random.default_rng(0).lognormal(6.6, 0.6, 4000)
"""What rides take on average, in s; what one really takes differs by chance, and no model knows by how much."""
SCALE = Scale(p95_ms=50.0, p99_ms=100.0, close=120.0, unit="s", edges=deciles(TYPICAL))


def latency(rng: np.random.Generator) -> float:
    """As of a busy laptop: some answers above the p95 limit."""
    return float(rng.lognormal(2.7, 0.6))


def sound(typical: float, rng: np.random.Generator) -> Said:
    """An answer of a good model: as it was trained, it is off by a little."""
    return Said(typical * float(rng.lognormal(0.0, 0.08)), latency(rng))


def times(factor: float) -> Faults:
    """A good model whose answers are multiplied."""
    return lambda typical, rng: Said(factor * (sound(typical, rng).value or 0.0), latency(rng))


def at_times(share: float, failure: str = "error") -> Faults:
    """A good model that fails now and then."""
    return lambda typical, rng: Said(None, 5.0, failure) if rng.random() < share else sound(typical, rng)


def asked(candidate: Faults, seed: int, count: int = 400, *, baseline: Faults | None = sound) -> Iterator[Pair]:
    """Questions of riders in pair, one after another."""
    rng = np.random.default_rng(seed)
    for typical in rng.choice(TYPICAL, count, replace=False):
        told = baseline(typical, rng) if baseline else None
        yield Pair(candidate(typical, rng), told, float(typical * rng.lognormal(0.0, 0.3)))


def judged(
    candidate: Faults, seed: int = 1, *, baseline: Faults | None = sound, scale: Scale = SCALE, every: int = 10
) -> tuple[Judgement, int]:
    """Judge every so many questions until it is decided; answers with the verdict and how many were asked."""
    comparison = Comparison(scale)
    pairs = list(asked(candidate, seed, baseline=baseline))
    for at in range(0, len(pairs), every):
        comparison.add(pairs[at : at + every])
        judgement = comparison.judge()
        if judgement.verdict != "not_enough":
            break
    return judgement, comparison.asked


BAD: dict[str, tuple[Faults, str, int]] = {
    "no number": (at_times(1.0, "not_finite"), "not finite", 10),
    "no number now and then": (at_times(0.1, "not_finite"), "not finite", 60),
    "wrong shape": (at_times(1.0, "wrong_shape"), "wrong shape", 10),
    "crashing": (at_times(1.0), "failures", 20),
    "one in four fails": (at_times(0.25), "failures", 100),
    "constant": (lambda _t, rng: Said(735.0, latency(rng)), "", 50),
    "slow": (lambda t, rng: Said(sound(t, rng).value, 400.0), "above the p95", 30),
    "too long by 30 %": (times(1.3), "", 200),
    "too short by 30 %": (times(1 / 1.3), "", 200),
    "a thousand times too long": (times(1000.0), "", 40),
    "by chance": (lambda _t, rng: Said(float(rng.choice(TYPICAL)), latency(rng)), "error", 100),
}
"""Fault -> words of the reason, and the number of questions that docs/architecture/15-canary.md states for it."""


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", BAD)
def test_a_bad_candidate_is_rolled_back_within_so_many_questions(name: str, seed: int) -> None:
    """Each kind of fault within the number that the docs state, and the reason names it."""
    fault, names, within = BAD[name]
    judgement, asked = judged(fault, seed)
    assert judgement.verdict == "rollback"
    assert asked <= within
    assert names in " ".join(judgement.reasons)


def test_the_same_model_again_is_hardly_ever_rolled_back(often: Callable[[int], int]) -> None:
    """A/A: looked at every 25 questions, in 120 runs fewer than alpha end in a rollback; nearly all are promoted."""
    found = [judged(sound, seed, every=25)[0].verdict for seed in range(often(120))]
    assert found.count("rollback") / len(found) <= Tolerances().alpha / 2
    assert found.count("promote") / len(found) >= 0.95


@pytest.mark.parametrize("off", [0.95, 1.05])
def test_a_slightly_worse_candidate_is_not_refused_within_the_noise(off: float, often: Callable[[int], int]) -> None:
    """A few per cent is nothing that hundreds of answers can tell: that is decided by evaluate, on a whole month."""
    found = [judged(times(off), seed, every=25)[0].verdict for seed in range(often(40))]
    assert found.count("rollback") / len(found) <= 0.05
    assert found.count("promote") / len(found) >= 0.85


def test_a_candidate_at_the_very_limit_is_hardly_ever_rolled_back_nor_promoted(
    often: Callable[[int], int],
) -> None:
    """As many failures as are tolerated: each verdict is wrong with a chance of at most alpha."""
    found = [judged(at_times(Tolerances().failures), seed, every=25)[0].verdict for seed in range(often(80))]
    assert found.count("rollback") / len(found) <= 0.05
    assert found.count("promote") / len(found) <= 0.1


def test_a_better_candidate_may_answer_otherwise() -> None:
    """Production went wrong by a half: the candidate's answers lie far from it, and outcomes say who is right."""
    assert judged(sound, baseline=times(1.5))[0].verdict == "promote"


def test_without_outcomes_other_answers_are_reason_enough() -> None:
    """Nobody knows who is right: what serves now is."""
    comparison = Comparison(SCALE)
    comparison.add(Pair(each.canary, each.baseline) for each in asked(times(1.4), 6, 200))
    assert comparison.judge().verdict == "rollback"


def test_no_data_is_no_success() -> None:
    """Nothing asked, or too little: never promoted, and it says what is missing."""
    comparison = Comparison(SCALE)
    assert comparison.judge().verdict == "not_enough"
    comparison.add(asked(sound, 1, 60))
    judgement = comparison.judge()
    assert judgement.verdict == "not_enough"
    assert any("are needed" in each or "not decided" in each for each in judgement.reasons)


def test_what_fails_with_production_together_is_neither_promoted_nor_blamed() -> None:
    """The network between was down for both: no evidence of the candidate, and none for it."""
    comparison = Comparison(SCALE)
    down = Said(None, 5.0, "error")
    comparison.add([Pair(down, down, 600.0) for _ in range(300)])
    assert comparison.judge().verdict == "not_enough"


def test_the_first_model_is_held_against_what_evaluate_found() -> None:
    """Nothing serves yet: its own error has to be what was promised."""
    found = [min(abs(each.canary.value - each.actual), 600) for each in asked(sound, 9, 4000)]  # type: ignore[operator]
    scale = replace(SCALE, expected_error=float(np.mean(found)))
    assert judged(sound, baseline=None, scale=scale)[0].verdict == "promote"
    for fault in (times(2.0), BAD["constant"][0], at_times(0.3)):
        assert judged(fault, baseline=None, scale=scale)[0].verdict != "promote"


def test_a_question_asked_again_counts_once_for_what_is_answered() -> None:
    """The same wrong answer a hundred times is one wrong answer; that it came in time is known a hundred times."""
    comparison = Comparison(SCALE)
    pair = Pair(Said(2000.0, 5.0), Said(600.0, 5.0), 600.0)
    comparison.add([pair, *[Pair(pair.canary, pair.baseline, pair.actual, first=False)] * 300])
    judgement = comparison.judge()
    counts = {each.measure: each.known.count for each in judgement.findings}
    assert counts["late"] == 301
    assert counts["shift"] == counts["error"] == 1
    assert judgement.verdict == "not_enough"


def test_a_candidate_that_breaks_late_is_rolled_back_though_it_was_good_at_first() -> None:
    """Its model server died after 200 good answers: what was proven before does not stand."""
    comparison = Comparison(SCALE)
    comparison.add(asked(sound, 11, 200))
    comparison.add(asked(at_times(1.0), 12, 60))
    judgement = comparison.judge()
    assert judgement.verdict == "rollback"
    (failures,) = (each.known for each in judgement.findings if each.measure == "failures")
    assert failures.low <= failures.mean <= failures.high


def test_the_same_answers_again_are_promoted_also_where_errors_are_far_below_what_users_notice() -> None:
    """Errors of 4 s where 120 s are close enough: the evaluation's figure says on which scale they tell something."""
    comparison, pairs = Comparison(replace(SCALE, expected_error=3.5)), []
    for typical in TYPICAL[:400].tolist():
        said = Said(typical, 5.0)
        pairs.append(Pair(said, said, typical + math.sin(typical) * 5.5))
    comparison.add(pairs)
    assert comparison.judge().verdict == "promote"
