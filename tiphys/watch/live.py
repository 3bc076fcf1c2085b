"""What askers got from the candidate beside what they got from production: judged from the gateway's cumulative counts.

Questions are not paired here: which asker gets the canary is decided by a hash, so both arms see the same kind of questions.
Each arm's share of failures and of late answers has a confidence sequence of its own, and the candidate is worse by more than
is tolerated when the two intervals are further apart than that. Shadow answers are paired; of these the gateway keeps sums,
for which an asymptotic sequence is used. These can roll a candidate back; none is needed to promote it, because a laptop and a quiet night have none.
The counts hold artificial riders, too: they are the gateway's view of all that was asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiphys.watch.answers import PARTS, UNSAFE, Finding, Scale, State, Tolerances
from tiphys.watch.confidence import BoundedMean, Interval, asymptotic

_ENOUGH_SHADOW = 200
"""Shadow pairs before an interval that only holds for many is believed."""


@dataclass(frozen=True)
class Counts:
    """What the gateway counted of one version in one arm since it started."""

    answers: int = 0
    failures: int = 0
    unsafe: int = 0
    late: int = 0

    def since(self, before: Counts) -> Counts:
        """What came since; all of it if the gateway counts from nothing again."""
        if self.answers < before.answers or self.failures < before.failures:
            return self
        return Counts(
            self.answers - before.answers,
            self.failures - before.failures,
            self.unsafe - before.unsafe,
            max(0, self.late - before.late),
        )


@dataclass(frozen=True)
class Shadow:
    """Sums over shadow pairs: how many, their log ratios, and the squares of these."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def since(self, before: Shadow) -> Shadow:
        """What came since; all of it if the gateway counts from nothing again."""
        if self.count < before.count:
            return self
        return Shadow(self.count - before.count, self.total - before.total, max(0.0, self.squares - before.squares))

    def with_more(self, more: Shadow) -> Shadow:
        """Both together."""
        return Shadow(self.count + more.count, self.total + more.total, self.squares + more.squares)


@dataclass(frozen=True)
class Told:
    """All that the gateway told of one version in one arm."""

    counts: Counts = Counts()
    shadow: Shadow = Shadow()


def counts(arm: Mapping[str, Any], p95_ms: float) -> Counts:
    """Read the gateway's JSON of one arm; an answer counts as late when its whole bucket lies above the limit."""
    failures: Mapping[str, int] = arm.get("failures", {})
    latency = arm.get("latency_ms", {})
    return Counts(
        answers=int(arm.get("answers", 0)),
        failures=sum(failures.values()),
        unsafe=sum(failures.get(name, 0) for name in UNSAFE),
        late=_above(latency.get("bounds", ()), latency.get("counts", ()), p95_ms),
    )


def shadow(arm: Mapping[str, Any]) -> Shadow:
    """Read the sums over an arm's shadow pairs."""
    pairs = arm.get("pairs") or {}
    return Shadow(
        int(pairs.get("count", 0)), float(pairs.get("sum_log_ratio", 0.0)), float(pairs.get("sum_squares", 0.0))
    )


def _above(bounds: Sequence[float], numbers: Sequence[int], limit: float) -> int:
    """Count what lies in buckets that begin at the limit or above; bucket n ends at bounds[n], the last has no end."""
    return sum(numbers[at + 1] for at, bound in enumerate(bounds) if bound >= limit and at + 1 < len(numbers))


class Live:
    """Watches the candidate's arm and production's, as the gateway tells of them."""

    def __init__(self, scale: Scale, tolerances: Tolerances | None = None) -> None:
        """Start with nothing known."""
        self._scale = scale
        self._tolerances = tolerances or Tolerances()
        self._before: dict[tuple[str, str], Told] = {}
        self._unsafe = 0
        self._shadow = Shadow()
        self._started = ""
        self._known = {
            (arm, measure): self._sequence(f"live {measure}")
            for arm in ("canary", "production")
            for measure in ("failures", "late")
        }

    def _sequence(self, measure: str) -> BoundedMean:
        part = self._tolerances.alpha * PARTS[measure] / 2  # as much for the other arm's
        return BoundedMean(0.0, 1.0, alpha_low=part, alpha_high=part)

    def take(self, told: Mapping[str, Any], version: str, since: int) -> None:
        """Take what ``GET /admin/v1/arms`` said: of that version from that generation on, and of what production serves.

        What was counted before the first call is nobody's: take once before anyone asks. Nothing told is no news.
        """
        started = str(told.get("started") or "")
        if not started:
            return
        first = not self._started
        if started != self._started:
            self._started, self._before = started, {}
        newest: dict[tuple[str, str], Mapping[str, Any]] = {}
        for each in sorted(told.get("arms", ()), key=_generation):
            newest[each["arm"], each["version"]] = each
        now = {key: Told(counts(each, self._scale.p95_ms), shadow(each)) for key, each in newest.items()}
        ours = ("canary", version)
        theirs = max(
            (key for key in newest if key[0] == "production"), key=lambda key: _generation(newest[key]), default=None
        )
        for key in (ours, theirs):
            if first or key is None or key not in now or (key == ours and _generation(newest[key]) < since):
                continue
            before = self._before.get(key, Told())
            self._add(key[0], now[key].counts.since(before.counts))
            if key == ours:
                self._shadow = self._shadow.with_more(now[key].shadow.since(before.shadow))
        self._before.update(now)

    def _add(self, arm: str, new: Counts) -> None:
        asked = new.answers + new.failures
        if arm == "canary":
            self._unsafe += new.unsafe
        for measure, count in (("failures", new.failures), ("late", new.late)):
            ones = min(count, asked)
            self._known[arm, measure].add([1.0] * ones + [0.0] * (asked - ones))

    @property
    def asked(self) -> int:
        """Questions that the candidate got, by the gateway's count."""
        return self._known["canary", "failures"].count

    def findings(self) -> Iterator[Finding]:
        """Say what is known; nothing of it is needed to promote."""
        if self._unsafe:
            known = Interval(self.asked, self._unsafe / max(1, self.asked), 0.0, 1.0)
            says = f"{self._unsafe} answers were no finite number or of a wrong shape; the gateway kept them from users"
            yield Finding("live unsafe", "harm", known, 0.0, says, needed=False)
        for measure, tolerated in (("failures", self._tolerances.failures), ("late", self._tolerances.late)):
            yield self._apart(measure, tolerated)
        if count := self._shadow.count:
            alpha = self._tolerances.alpha * PARTS["live shift"]
            known = asymptotic(count, self._shadow.total, self._shadow.squares, alpha)
            far = known.low >= self._tolerances.shift or known.high <= -self._tolerances.shift
            says = f"shadow answers against production's, mean log ratio: {known.mean:+.1%} in {count}"
            state: State = "harm" if far and count >= _ENOUGH_SHADOW else "open"
            yield Finding("live shift", state, known, self._tolerances.shift, says, needed=False)

    def _apart(self, measure: str, tolerated: float) -> Finding:
        ours, theirs = (self._known[arm, measure].interval for arm in ("canary", "production"))
        theirs_most = theirs.high if theirs.count else 0.0
        says = f"all askers, {measure}: " + ", ".join(
            f"{arm} {known.mean:.1%} of {known.count} (at {bound})" if known.count else f"{arm} not asked yet"
            for arm, known, bound in (
                ("canary", ours, f"least {ours.low:.1%}"), ("production", theirs, f"most {theirs_most:.1%}"),
            )
        )  # fmt: skip
        harm = ours.low - theirs_most >= tolerated
        return Finding(f"live {measure}", "harm" if harm else "open", ours, tolerated, says, needed=False)


def _generation(arm: Mapping[str, Any]) -> int:
    return int(arm.get("generation", 0))
