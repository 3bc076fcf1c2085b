"""Is the candidate worse than what serves now? Judged after any number of answers, without waiting for a fixed number.

Pairs of answers to the same question come in; each measure is the mean of a bounded number that a pair yields, watched by a
confidence sequence (:mod:`tiphys.watch.confidence`). One that is proven beyond its tolerance rolls the candidate back; all
proven within promotes it; else more answers are needed. The chance of a false alarm is split over the measures, so that it
holds for all of them and all looks together. Sequential canary tests of this kind: Lindon, Sanden & Shirikian, "Rapid
regression detection in software deployments through sequential testing", KDD 2022. Distribution functions at fixed values:
Howard & Ramdas, "Sequential estimation of quantiles", Bernoulli 2022, by a union over few values, which pairing makes tighter.

Some faults need no statistics: one answer that is no number, or one and the same answer to everybody.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tiphys.watch.answers import PARTS, UNSAFE, Finding, Judgement, Pair, Scale, State, Tolerances
from tiphys.watch.confidence import BoundedMean, Interval

_ERROR_CAP = 5.0
"""Errors count up to so many times what users are content with: one lost ride decides nothing."""
_USUAL_CAP = 8.0
"""And up to so many times what the evaluation found: a bound far above all errors would hide what they tell."""
_LOG_FLOOR = 0.1
"""Answers count from so much of what users are content with: a ratio of two small ones says nothing."""
_ENOUGH_TO_BE_CONSTANT = 30
_MANY = 10
"""Different answers of the baseline that make one and the same conspicuous."""
_ENOUGH_TO_EXCUSE = 30
"""Outcomes before which nothing is said of whose answers are the better ones."""
_FEW = 0.1
"""Share of the baseline's different answers below which a candidate's count as one and the same."""


_Of = Callable[[Pair], float | None]


@dataclass
class _Measure:
    """A mean that must stay below ``tolerated``, and how a pair yields a value."""

    name: str
    tolerated: float
    of: _Of
    sequence: BoundedMean
    both_ways: bool = False

    def state(self, minimum: int) -> State:
        known = self.sequence
        if known.low >= self.tolerated or (self.both_ways and known.high <= -self.tolerated):
            return "harm"
        within = known.high <= self.tolerated and (not self.both_ways or known.low >= -self.tolerated)
        return "within" if within and known.count >= minimum else "open"


class Comparison:
    """Takes pairs, and says at any time what they come to."""

    def __init__(self, scale: Scale, tolerances: Tolerances | None = None) -> None:
        """Start with nothing known."""
        self.scale = scale
        self.tolerances = tolerances or Tolerances()
        found = self.scale.expected_error
        self._cap = min(_ERROR_CAP * scale.close, _USUAL_CAP * found if found else math.inf)
        self._measures = {each.name: each for each in self._made()}
        self._failures: Counter[str] = Counter()
        self._distinct: tuple[set[float], set[float]] = (set(), set())
        self._answered = 0
        self._errors = [0.0, 0.0]
        self.asked = 0

    def add(self, pairs: Iterable[Pair]) -> None:
        """Take more pairs."""
        taken = list(pairs)
        self.asked += len(taken)
        self._failures.update(each.canary.failure for each in taken if each.canary.failure)
        for pair in taken:
            self._count_answers(pair)
        for measure in self._measures.values():
            measure.sequence.add([value for pair in taken if (value := measure.of(pair)) is not None])

    def judge(self) -> Judgement:
        """Say what all answers so far come to."""
        findings = tuple(self._findings())
        counts = {"questions": self.asked, **{f"failed: {name}": count for name, count in self._failures.items()}}
        harm = [each for each in findings if each.state == "harm" and not self.excuses(each)]
        if harm:
            return Judgement("rollback", tuple(each.says for each in harm), findings, counts)
        missing = [each for each in findings if each.needed and each.state != "within"]
        if missing:
            return Judgement("not_enough", tuple(each.says for each in missing), findings, counts)
        return Judgement("promote", tuple(each.says for each in findings if each.needed), findings, counts)

    def _count_answers(self, pair: Pair) -> None:
        if not pair.first or pair.canary.value is None:
            return
        if pair.baseline is not None and pair.baseline.value is None:
            return
        self._answered += 1
        self._distinct[0].add(pair.canary.value)
        if pair.baseline is not None and pair.baseline.value is not None:
            self._distinct[1].add(pair.baseline.value)

    def _made(self) -> Iterator[_Measure]:
        limits, scale = self.tolerances, self.scale
        share = (-1.0, 1.0)
        yield self._one("failures", limits.failures, _more(lambda said: bool(said.failure)), share)
        # Only what is promoted depends on this one, so its lower end may be as wrong as it likes.
        yield self._one("all failures", limits.failures, lambda pair: float(bool(pair.canary.failure)), (0.0, 1.0))
        yield self._one("late", limits.late, _more(lambda said: said.latency_ms > scale.p95_ms), share)
        yield self._one("very late", limits.very_late, _more(lambda said: said.latency_ms > scale.p99_ms), share)
        yield self._either("shift", limits.shift, self._log_ratio, 1)
        for edge in scale.edges:
            yield self._either(f"spread at {edge:g}", limits.spread, _below(edge), len(scale.edges))
        cap = self._cap
        yield self._one("error", 0.0, self._error, (-(1 + limits.error) * cap, cap))

    def _one(self, name: str, tolerated: float, of: _Of, bounds: tuple[float, float]) -> _Measure:
        """A mean that does harm by being large: promoted with a risk of alpha, as all of them have to be within."""
        alpha = self.tolerances.alpha
        low = alpha * PARTS.get(name, 1.0)
        return _Measure(name, tolerated, of, BoundedMean(*bounds, alpha_low=low, alpha_high=alpha, at=[tolerated]))

    def _either(self, name: str, tolerated: float, of: _Of, among: int) -> _Measure:
        """A mean that does harm by being far from nothing, either way; one among so many of its kind."""
        alpha = self.tolerances.alpha * PARTS[name.partition(" ")[0]] / among / 2
        sequence = BoundedMean(-1.0, 1.0, alpha_low=alpha, alpha_high=alpha, at=[-tolerated, tolerated])
        return _Measure(name, tolerated, of, sequence, both_ways=True)

    def _log_ratio(self, pair: Pair) -> float | None:
        values = _both(pair)
        if values is None:
            return None
        floor = _LOG_FLOOR * self.scale.close
        return math.log(max(values[0], floor) / max(values[1], floor))

    def _error(self, pair: Pair) -> float | None:
        """Canary's error less what the baseline's is allowed to be; above zero is more than tolerated."""
        if pair.actual is None or not pair.first or pair.canary.value is None:
            return None
        cap = self._cap
        ours = min(abs(pair.canary.value - pair.actual), cap)
        if pair.baseline is None:
            expected = self.scale.expected_error
            return None if expected is None else ours - (1 + self.tolerances.error) * min(expected, cap)
        if pair.baseline.value is None:
            return None
        theirs = min(abs(pair.baseline.value - pair.actual), cap)
        self._errors = [self._errors[0] + ours, self._errors[1] + theirs]
        return ours - (1 + self.tolerances.error) * theirs

    def _findings(self) -> Iterator[Finding]:
        yield from self._unsafe()
        yield self._constant()
        outcomes = self._measures["error"].sequence.count >= self.tolerances.minimum
        for name, measure in self._measures.items():
            state = measure.state(self.tolerances.minimum)
            if name == "all failures" and state == "harm":
                state = "open"  # both may fail of one cause: it is no reason to roll back, nor to promote
            needed = name not in ("failures", "error") and not name.startswith(("shift", "spread"))
            if name.startswith(("shift", "spread")):
                needed = not outcomes and self._compares()
            if name == "error":
                needed = outcomes or not self._compares()
            yield Finding(name, state, measure.sequence.interval, measure.tolerated, self._says(measure, state), needed)

    def _compares(self) -> bool:
        """Whether there were answers of a baseline to compare with."""
        return bool(self._distinct[1])

    def excuses(self, finding: Finding) -> bool:
        """Other answers than the baseline's are no harm while outcomes say that they are the better ones."""
        if not finding.measure.startswith(("shift", "spread", "live shift")):
            return False
        outcomes = self._measures["error"].sequence.count
        return 0 < outcomes < _ENOUGH_TO_EXCUSE or self._errors[0] < self._errors[1]

    def _unsafe(self) -> Iterator[Finding]:
        for name in UNSAFE:
            if count := self._failures[name]:
                known = Interval(self.asked, count / self.asked, 0.0, 1.0)
                says = f"{count} of {self.asked} answers were {name.replace('_', ' ')}: a sound model never says that"
                yield Finding(name, "harm", known, 0.0, says)

    def _constant(self) -> Finding:
        ours, theirs = (len(each) for each in self._distinct)
        known = Interval(self._answered, float(ours), 0.0, math.inf)
        if self._answered < _ENOUGH_TO_BE_CONSTANT:
            says = f"{self._answered} different questions answered, {_ENOUGH_TO_BE_CONSTANT} tell a constant answer"
            return Finding("constant", "open", known, 0.0, says)
        usual = theirs if self._compares() else self._answered
        least = max(1.0, _FEW * theirs)
        says = f"{ours} different answers to {self._answered} questions, the baseline gave {theirs}"
        if ours <= least and usual >= _MANY:
            return Finding("constant", "harm", known, least, f"hardly ever another answer: {says}")
        return Finding("constant", "within", known, least, says)

    def _says(self, measure: _Measure, state: State) -> str:
        known, name = measure.sequence.interval, measure.name
        if not known.count:
            return f"{name}: nothing is known yet"
        if known.count < self.tolerances.minimum and state == "open":
            return f"{_NAMES[name.partition(' at ')[0]]}: {known.count} answers, {self.tolerances.minimum} are needed"
        if name == "error":
            return self._says_error(known, state)
        figures = (
            f"{known.mean:+.1%} (between {known.low:+.1%} and {known.high:+.1%}, tolerated {measure.tolerated:.0%})"
        )
        where = f" at {name.partition(' at ')[2]} {self.scale.unit}" if " at " in name else ""
        return f"{_NAMES[name.partition(' at ')[0]]}{where}: {figures} in {known.count} answers{_SO[state]}"

    def _says_error(self, known: Interval, state: State) -> str:
        unit, more = self.scale.unit, self.tolerances.error
        against = f"{1 + more:g} times the baseline's"
        if not self._compares():
            against = f"{1 + more:g} times the evaluation's {self.scale.expected_error or math.nan:.0f} {unit}"
        figures = f"{known.mean:+.0f} {unit} (between {known.low:+.0f} and {known.high:+.0f})"
        return f"mean error less {against}: {figures} in {known.count} outcomes{_SO[state]}"


_NAMES = {
    "failures": "more failures than the baseline",
    "all failures": "failures",
    "late": "more answers above the p95 limit than the baseline",
    "very late": "more answers above the p99 limit than the baseline",
    "shift": "answers against the baseline's, mean log ratio",
    "spread": "share of answers below a value, against the baseline's",
    "error": "error",
}
_SO: dict[State, str] = {"harm": ": more than tolerated", "within": "", "open": ": not decided yet"}


def deciles(outcomes: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.floating]]) -> tuple[float, ...]:
    """Nine values that cut past outcomes into ten equal parts; fewer where outcomes repeat."""
    if not len(outcomes):
        return ()
    return tuple(float(each) for each in np.unique(np.quantile(outcomes, np.linspace(0.1, 0.9, 9)).round(3)))


def _both(pair: Pair) -> tuple[float, float] | None:
    """The two answers to a question that was not asked before."""
    if not pair.first or pair.canary.value is None or pair.baseline is None or pair.baseline.value is None:
        return None
    return pair.canary.value, pair.baseline.value


def _more(has: Callable[..., bool]) -> Callable[[Pair], float]:
    """Whether the canary has it, less whether the baseline does."""
    return lambda pair: float(has(pair.canary)) - float(pair.baseline is not None and has(pair.baseline))


def _below(edge: float) -> Callable[[Pair], float | None]:
    """Whether the canary's answer lies below a value, less whether the baseline's does."""

    def difference(pair: Pair) -> float | None:
        values = _both(pair)
        return None if values is None else float(values[0] <= edge) - float(values[1] <= edge)

    return difference
