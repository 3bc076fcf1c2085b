"""Plots of the report as inline SVG, coloured by the page's CSS. Knows nothing of drift."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.watch.drift.sketch import Array

_WIDTH, _HEIGHT, _LEFT = 880.0, 170.0, 60.0
_KINDS = ("one", "two", "three")
_ROW = 22


def lines(x: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], limit: float) -> str:
    """One line a series over named places, with a limit; the y axis begins at 0."""
    most = 1.1 * max(limit, *(value for _, values in series for value in values))
    room = _WIDTH - _LEFT - 20

    def at(place: int, value: float) -> str:
        return f"{_LEFT + room * place / max(1, len(x) - 1):.1f},{_HEIGHT * (1 - value / most):.1f}"

    limit_y = _HEIGHT * (1 - limit / most)
    parts = [
        f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{limit_y:.1f}" y2="{limit_y:.1f}"/>',
        _text(_LEFT - 8, limit_y + 4, "limit", "end"),
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>',
        _text(_LEFT, _HEIGHT + 18, x[0], "start"),
        _text(_WIDTH - 20, _HEIGHT + 18, x[-1], "end"),
    ]
    for number, (name, values) in enumerate(series):
        kind = _KINDS[number % len(_KINDS)]
        points = " ".join(at(place, value) for place, value in enumerate(values))
        parts.append(f'<polyline class="line {kind}" points="{points}"/>')
        parts.append(
            f'<line class="line {kind}" x1="{_LEFT + 210 * number}" x2="{_LEFT + 210 * number + 24}" y1="{_HEIGHT + 36}" y2="{_HEIGHT + 36}"/>'
        )
        parts.append(_text(_LEFT + 210 * number + 32, _HEIGHT + 40, name, "start"))
    return _svg(_HEIGHT + 46, "".join(parts), "evidence by day")


def bars(rows: Sequence[tuple[str, float]]) -> str:
    """One horizontal bar a row."""
    most = max((value for _, value in rows), default=1.0) or 1.0
    parts = []
    for number, (name, value) in enumerate(rows):
        y, length = number * _ROW, (_WIDTH - 330) * value / most
        parts += [
            _text(230, y + 15, name, "end"),
            f'<rect class="ours" x="240" y="{y + 3}" width="{length:.1f}" height="15" rx="3"/>',
            _text(248 + length, y + 15, f"{value:.3f}", "start"),
        ]
    return _svg(len(rows) * _ROW, "".join(parts), "index of each column")


def pairs(labels: Sequence[str], now: Array, expected: Array) -> str:
    """Two bars a bin, side by side; bins that are empty in both are left out."""
    shown = [at for at in range(len(labels)) if now[at] + expected[at] > 0]
    most = max((max(float(now[at]), float(expected[at])) for at in shown), default=1.0) or 1.0
    step = (_WIDTH - _LEFT) / max(1, len(shown))
    parts = []
    for place, at in enumerate(shown):
        x = _LEFT + place * step
        for shift, kind, value in ((0.08, "ours", float(now[at])), (0.5, "theirs", float(expected[at]))):
            high = 110 * value / most
            parts.append(
                f'<rect class="{kind}" x="{x + shift * step:.1f}" y="{110 - high:.1f}" width="{0.4 * step:.1f}" height="{high:.1f}"/>'
            )
        if step > 60 or place % max(1, round(60 / step)) == 0:  # noqa: PLR2004 - room for a label
            parts.append(_text(x + step / 2, 126, labels[at], "middle"))
    parts.append(_text(_LEFT - 8, 10, f"{most:.0%}", "end"))
    return _svg(132, "".join(parts), "shares now and expected")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, content: str, title: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">{content}</svg>'
