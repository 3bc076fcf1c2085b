"""The canary as a page that is complete in itself, as JSON for a program, and as evidence for the ledger."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.canary.trial import Look, Trial
    from tiphys.watch.answers import Finding, Judgement

_WORDS = {
    "promote": ("good", "as good as what serves now: it may be promoted"),
    "rollback": ("bad", "worse than what serves now: rolled back"),
    "not_enough": ("bad", "not enough is known: refused, because no data is no success"),
}
_STATES = {"harm": "bad", "within": "good", "open": "dim"}
_WIDTH, _HEIGHT, _LEFT = 720.0, 150.0, 60.0
_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b2430, #e8ecf1); --dim: light-dark(#66717f, #97a3b2);
  --page: light-dark(#f5f6f8, #12161c); --card: light-dark(#fff, #1b212a); --rule: light-dark(#e3e7ec, #2b3440);
  --ours: light-dark(#1f6feb, #58a6ff); --good: light-dark(#1a7f4b, #4cc38a); --bad: light-dark(#c4322b, #ff8078) }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif }
main { max-width: 960px; margin: 0 auto; padding: 40px 24px 64px }
h1 { font-size: 25px; line-height: 1.25; margin: 8px 0 } h2 { font-size: 17px; margin: 0 0 6px } .dim { color: var(--dim) }
.badge { display: inline-block; padding: 3px 12px; border-radius: 99px; color: light-dark(#fff, #10151b); font-weight: 600 }
.badge.good { background: var(--good) } .badge.bad { background: var(--bad) } td.good { color: var(--good) } td.bad { color: var(--bad) }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 20px 24px; margin-top: 18px }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { text-align: left; padding: 6px 10px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top } tr:last-child td { border: 0 }
th { color: var(--dim); font-size: 13px } .number { text-align: right; white-space: nowrap }
svg { width: 100%; height: auto; display: block; overflow: visible } svg text { fill: var(--dim); font-size: 12px }
.band { fill: var(--ours); opacity: .22 } .line { fill: none; stroke: var(--ours); stroke-width: 2 }
.limit { stroke: var(--bad); stroke-dasharray: 5 4 } .axis { stroke: var(--rule) } code { overflow-wrap: anywhere; font-size: 13px }
"""


def as_record(trial: Trial, judgement: Judgement, about: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger keeps: the verdict with every measure as it was at the end."""
    return {
        **about,
        "verdict": judgement.verdict,
        "reasons": list(judgement.reasons),
        "answers": trial.comparison.asked,
        "seconds": round(trial.seconds, 2),
        "counts": dict(judgement.counts),
        "personas": dict(trial.personas),
        "live": trial.live.asked,
        "measures": [_measure(each) for each in judgement.findings],
    }


def as_json(trial: Trial, record: Mapping[str, Any]) -> str:
    """Return the record with what was known at each look."""
    looks = [
        {
            "seconds": round(look.seconds, 2),
            "questions": look.questions,
            "verdict": look.verdict,
            "measures": [_measure(each) for each in look.findings],
        }
        for look in trial.looks
    ]
    return json.dumps({**record, "arms": trial.arms, "looks": looks}, indent=1)


def _measure(found: Finding) -> dict[str, Any]:
    known = found.known
    return {
        "measure": found.measure,
        "state": found.state,
        "count": known.count,
        "mean": _figure(known.mean),
        "low": _figure(known.low),
        "high": _figure(known.high),
        "tolerated": found.tolerated,
        "says": found.says,
    }


def _figure(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


def as_page(trial: Trial, judgement: Judgement, about: Mapping[str, Any]) -> str:
    """Return the report as HTML."""
    kind, words = _WORDS[judgement.verdict]
    reasons = "".join(f"<li>{escape(each)}" for each in judgement.reasons)
    facts = ", ".join(
        f"{escape(name.replace('_', ' '))}: <code>{escape(str(value))}</code>" for name, value in about.items()
    )
    people = ", ".join(f"{escape(name)} {count}" for name, count in trial.personas.most_common())
    rows = "".join(_row(each) for each in judgement.findings)
    charts = "".join(_section(trial.looks, each) for each in judgement.findings if _is_drawn(each))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Canary of {escape(str(about['model_version']))}</title><style>{_STYLE}</style></head><body><main>"
        f'<span class="badge {kind}">{escape(judgement.verdict.replace("_", " "))}</span>'
        f"<h1>{escape(str(about['model_version']))} is {words}</h1>"
        f'<p class="dim">{trial.comparison.asked} questions of artificial riders in {trial.seconds:.1f} s ({people}), '
        f"{trial.live.asked} answers of the candidate by the gateway's count. {facts}</p>"
        f"<section><h2>Why</h2><ul>{reasons}</ul></section>"
        f"<section><h2>All measures</h2><table><tr><th>measure<th>found<th class=number>between<th class=number>tolerated"
        f"<th class=number>of{rows}</table></section>{charts}</main></body></html>\n"
    )


def _row(found: Finding) -> str:
    known = found.known
    ends = f"{_short(known.low)} … {_short(known.high)}"
    return (
        f'<tr><td title="{escape(found.says)}">{escape(found.measure)}<td class="{_STATES[found.state]}">'
        f"{_short(known.mean)} ({found.state})<td class=number>{ends}<td class=number>{_short(found.tolerated)}"
        f"<td class=number>{known.count}"
    )


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"


def _is_drawn(found: Finding) -> bool:
    return found.measure in ("failures", "late", "very late", "shift", "error")


def _section(looks: Sequence[Look], found: Finding) -> str:
    points = [
        (look.questions, each.known.mean, each.known.low, each.known.high)
        for look in looks
        for each in look.findings
        if each.measure == found.measure and math.isfinite(each.known.mean)
    ]
    if len(points) < 2:  # noqa: PLR2004
        return ""
    return f"<section><h2>{escape(found.measure)}</h2><p class=dim>{escape(found.says)}</p>{_chart(points, found.tolerated)}</section>"


def _chart(points: Sequence[tuple[int, float, float, float]], tolerated: float) -> str:
    """The estimate as a line, what is known of it as a band that narrows, the tolerance dashed."""
    last = points[-1]
    reach = 2.5 * max(abs(tolerated), abs(last[1]), (last[3] - last[2]) / 2, 1e-9)
    most = max(each[0] for each in points) or 1

    def at(questions: int, value: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT) * questions / most
        return f"{x:.1f},{_y(value, reach):.1f}"

    band = [at(q, high) for q, _, _, high in points] + [at(q, low) for q, _, low, _ in reversed(points)]
    line = " ".join(at(q, mean) for q, mean, _, _ in points)
    limits = "".join(
        f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH}" y1="{_y(value, reach):.1f}" y2="{_y(value, reach):.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{_y(value, reach) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in sorted({tolerated, -tolerated} if tolerated else {0.0})
    )
    axis = f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>'
    label = f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" text-anchor="end">{most} questions</text>'
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT + 20:.0f}" role="img">{axis}{label}'
        f'<polygon class="band" points="{" ".join(band)}"/><polyline class="line" points="{line}"/>{limits}</svg>'
    )


def _y(value: float, reach: float) -> float:
    """Height of a value; what lies beyond the drawing stops at its edge."""
    return _HEIGHT / 2 * (1 - max(-1.0, min(1.0, value / reach)))
