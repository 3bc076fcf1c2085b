"""Plots as inline SVG: small functions from numbers to text, coloured by the page's CSS. Knows nothing of models."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tiphys.usecase import Array

WIDTH = 720
_LABELS = 210
_ROW = 30


@dataclass(frozen=True)
class Pair:
    """One row of a dumbbell plot: two values and how many rows they stand for."""

    name: str
    ours: float
    theirs: float
    rows: int


def bars(rows: Sequence[tuple[str, float]], unit: str, ours: str) -> str:
    """Horizontal bars, one a predictor; the bar named ``ours`` is highlighted."""
    most = max(value for _, value in rows) or 1.0
    room = WIDTH - _LABELS - 90
    parts = []
    for number, (name, value) in enumerate(rows):
        y, length = number * 36, room * value / most
        kind = "ours" if name == ours else "theirs"
        parts += [
            _text(_LABELS - 12, y + 19, name, "end"),
            f'<rect class="{kind}" x="{_LABELS}" y="{y + 3}" width="{length:.1f}" height="24" rx="4"/>',
            _text(_LABELS + length + 8, y + 20, f"{value:.1f} {unit}", "start", "value"),
        ]
    return _svg(len(rows) * 36, "".join(parts), "mean absolute error of each predictor")


def dumbbells(rows: Sequence[Pair], unit: str) -> str:
    """Two dots a slice joined by a line: the model and the status quo."""
    most = max((max(each.ours, each.theirs) for each in rows), default=1.0) or 1.0
    room = WIDTH - _LABELS - 120

    def x(value: float) -> float:
        return _LABELS + room * value / most

    parts = [_grid(most, x, len(rows) * _ROW, unit)]
    for number, each in enumerate(rows):
        y = number * _ROW + 15
        kind = "better" if each.ours <= each.theirs else "worse"
        gain = 100 * (each.ours / each.theirs - 1) if each.theirs else 0.0
        parts += [
            _text(_LABELS - 12, y + 4, each.name.replace("_", " "), "end"),
            f'<line class="{kind}" x1="{x(each.theirs):.1f}" x2="{x(each.ours):.1f}" y1="{y}" y2="{y}"/>',
            f'<circle class="theirs" cx="{x(each.theirs):.1f}" cy="{y}" r="5"/>',
            f'<circle class="ours" cx="{x(each.ours):.1f}" cy="{y}" r="6"/>',
            _text(WIDTH - 64, y + 4, f"{gain:+.0f} %", "end", f"value {kind}"),
            _text(WIDTH, y + 4, f"n {each.rows}", "end", "small"),
        ]
    return _svg(len(rows) * _ROW + 26, "".join(parts), "error in each slice")


def heat(x: Array, y: Array, unit: str, cells: int = 48) -> str:
    """Where answers fall against the truth: a grid of counts with the line on which both are equal."""
    most = float(np.percentile(np.concatenate([x, y]), 99)) or 1.0
    counts, _, _ = np.histogram2d(x, y, bins=cells, range=((0, most), (0, most)))
    side, left = 420.0, 70.0
    cell = side / cells
    shade = np.sqrt(counts / max(1.0, float(counts.max())))
    parts = [
        f'<rect class="cell" x="{left + i * cell:.1f}" y="{side - (j + 1) * cell:.1f}" width="{cell:.1f}" '
        f'height="{cell:.1f}" opacity="{shade[i, j]:.2f}"/>'
        for i, j in np.argwhere(counts > 0)
    ]
    parts.append(f'<line class="equal" x1="{left}" y1="{side}" x2="{left + side}" y2="0"/>')
    for value in _ticks(most):
        at = side * value / most
        parts += [
            _text(left + at, side + 18, f"{value:g}", "middle", "small"),
            _text(left - 8, side - at + 4, f"{value:g}", "end", "small"),
        ]
    parts += [
        _text(left + side / 2, side + 38, f"truth, {unit}", "middle", "small"),
        f'<text class="small" text-anchor="middle" transform="translate(16 {side / 2}) rotate(-90)">answer, {escape(unit)}</text>',
    ]
    return _svg(side + 44, "".join(parts), "answers against the truth", width=left + side + 10)


def histogram(ours: Array, theirs: Array, unit: str, bins: int = 60) -> str:
    """How errors (answer minus truth) are spread: the model filled, the status quo as a line."""
    far = float(np.percentile(np.abs(np.concatenate([ours, theirs])), 97)) or 1.0
    edges = np.linspace(-far, far, bins + 1)
    a, b = (np.histogram(each, edges)[0] / max(1, len(each)) for each in (ours, theirs))
    top, height = max(a.max(), b.max()) or 1.0, 240.0
    step = WIDTH / bins
    filled = "".join(
        f'<rect class="ours soft" x="{n * step:.1f}" y="{height * (1 - v / top):.1f}" width="{step - 1:.1f}" '
        f'height="{height * v / top:.1f}"/>'
        for n, v in enumerate(a)
    )
    points = " ".join(f"{(n + 0.5) * step:.1f},{height * (1 - v / top):.1f}" for n, v in enumerate(b))
    zero = f'<line class="equal" x1="{WIDTH / 2}" x2="{WIDTH / 2}" y1="0" y2="{height}"/>'
    labels = "".join(
        _text(WIDTH * (0.5 + share / 2), height + 18, f"{share * far:+.0f} {unit}", anchor, "small")
        for share, anchor in ((-1.0, "start"), (-0.5, "middle"), (0.0, "middle"), (0.5, "middle"), (1.0, "end"))
    )
    line = f'<polyline class="theirs line" points="{points}"/>'
    return _svg(height + 26, filled + line + zero + labels, "spread of errors")


def _grid(most: float, x: Callable[[float], float], height: float, unit: str) -> str:
    parts = []
    for value in _ticks(most):
        at = x(value)
        parts += [
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height}"/>',
            _text(at, height + 18, f"{value:g} {unit}", "middle", "small"),
        ]
    return "".join(parts)


def _ticks(most: float) -> list[float]:
    """Three to six round numbers from 0 up to ``most``."""
    rough = most / 4
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [float(value) for value in np.arange(0, most + step * 1e-9, step)]


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, content: str, title: str, width: float = WIDTH) -> str:
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">{content}</svg>'
