"""The load test as a page that is complete in itself, and as JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from components.load_test.figures import Demand, Figures

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #1b2733 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde4ea }
.missed { color: #b3261e; font-weight: 600 } .held { color: #0b6e4f } svg { width: 100%; background: #f6f8fa }
"""


def as_json(figures: Figures, demanded: Sequence[Demand], about: Mapping[str, Any]) -> str:
    """Return all figures as a JSON document."""
    return json.dumps({**about, **asdict(figures), "slo": [asdict(each) for each in demanded]}, indent=2)


def as_page(figures: Figures, demanded: Sequence[Demand], about: Mapping[str, Any]) -> str:
    """Return the report as HTML."""
    slo = "".join(
        f"<tr><td>{escape(each.name)}<td>{escape(each.wanted)}"
        f"<td class={'held' if each.held else 'missed'}>{escape(each.found)}<td>{escape(each.reason)}"
        for each in demanded
    )
    latencies = {"p50": figures.p50, "p95": figures.p95, "p99": figures.p99, "slowest": figures.slowest}
    numbers = "".join(f"<tr><td>{name}<td>{value:.2f} ms" for name, value in latencies.items())
    errors = "".join(f"<tr><td>{count}<td>{escape(text)}" for text, count in figures.reasons.items())
    facts = ", ".join(f"{escape(name)}: {escape(str(value))}" for name, value in about.items())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Load test</title><style>{_STYLE}</style>"
        f"<h1>Load test</h1><p>{facts}</p>"
        f"<p>{figures.count} answers in {figures.seconds:.1f} s, {figures.rate:.1f} right ones a second.</p>"
        f"<h2>What was asked of it</h2><table><tr><th>SLO<th>wanted<th>found<th>why{slo}</table>"
        f"<h2>Latency as the client saw it</h2><table>{numbers}</table>"
        f"<h2>p95 second by second</h2>{_chart([each[2] for each in figures.by_second])}"
        + (f"<h2>Errors</h2><table><tr><th>count<th>error{errors}</table>" if errors else "")
    )


def _chart(values: Sequence[float]) -> str:
    if not values:
        return "<p>no answers</p>"
    top = max(values) or 1.0
    width = 800 / len(values)
    bars = "".join(
        f'<rect x="{width * at + 1:.1f}" y="{180 - 160 * value / top:.1f}" width="{max(1.0, width - 2):.1f}" '
        f'height="{160 * value / top:.1f}" fill="#3b7ea1"><title>second {at}: {value:.1f} ms</title></rect>'
        for at, value in enumerate(values)
    )
    return f'<svg viewBox="0 0 800 190"><text x="4" y="14" font-size="12">{top:.1f} ms</text>{bars}</svg>'
