"""Plots for the docs as SVG files, readable on a light and a dark page: from numbers to text, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

_WIDTH, _HEIGHT, _LEFT, _TOP = 760, 300, 70, 34
_COLOURS = ("#2f6fde", "#d9822b", "#1d9a6c", "#b4449c", "#7a7f87", "#c23b3b", "#0f8ea3")
_STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#444}.grid{stroke:#8884;stroke-width:1}.title{font-weight:600;font-size:14px}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>"
)


def lines(path: Path, title: str, x: Sequence[str], series: Mapping[str, Sequence[float]], unit: str) -> None:
    """One line a series over named places on the x axis; the y axis begins at 0."""
    most = max((value for each in series.values() for value in each), default=1.0) or 1.0
    room, high = _WIDTH - _LEFT - 210, _HEIGHT - _TOP - 40

    def at(place: int, value: float) -> tuple[float, float]:
        return _LEFT + room * place / max(1, len(x) - 1), _TOP + high * (1 - value / most)

    parts = [_grid(most, unit, high, room)]
    parts += [_text(at(number, 0)[0], _TOP + high + 20, name, "middle") for number, name in enumerate(x)]
    for number, (name, values) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [at(place, value) for place, value in enumerate(values)]
        joined = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in points]
        parts += [_key(number, name, colour)]
    _write(path, title, parts, _HEIGHT)


def bars(path: Path, title: str, rows: Sequence[tuple[str, float]], unit: str, marked: str = "") -> None:
    """One horizontal bar a row; the marked one in another colour. Values are written beside them."""
    most = max((value for _, value in rows), default=1.0) or 1.0
    parts = []
    for number, (name, value) in enumerate(rows):
        y, length = _TOP + number * 30, (_WIDTH - 300) * value / most
        colour = _COLOURS[1 if name == marked else 0]
        parts += [
            _text(160, y + 17, name, "end"),
            f'<rect x="170" y="{y + 3}" width="{length:.1f}" height="20" rx="3" fill="{colour}"/>',
            _text(178 + length, y + 17, f"{_number(value)} {unit}", "start"),
        ]
    _write(path, title, parts, _TOP + 30 * len(rows) + 6)


def stacks(path: Path, title: str, rows: Sequence[tuple[str, Mapping[str, float]]], unit: str) -> None:
    """One horizontal bar a row made of named parts."""
    most = max((sum(each.values()) for _, each in rows), default=1.0) or 1.0
    parts = []
    names = list(dict.fromkeys(name for _, each in rows for name in each))
    for number, (label, each) in enumerate(rows):
        y, x = _TOP + number * 26, 190.0
        parts.append(_text(180, y + 15, label, "end"))
        for name, value in each.items():
            length, colour = (_WIDTH - 480) * value / most, _COLOURS[names.index(name) % len(_COLOURS)]
            parts.append(f'<rect x="{x:.1f}" y="{y + 2}" width="{length:.1f}" height="18" fill="{colour}"/>')
            x += length
        parts.append(_text(x + 8, y + 15, f"{_number(sum(each.values()))} {unit}", "start"))
    parts += [_key(number, name, _COLOURS[number % len(_COLOURS)]) for number, name in enumerate(names)]
    _write(path, title, parts, max(_TOP + 26 * len(rows), _TOP + 22 * len(names)) + 6)


def _grid(most: float, unit: str, high: float, room: float) -> str:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + high * (1 - share)
        parts += [
            f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + room}" y1="{y:.1f}" y2="{y:.1f}"/>',
            _text(_LEFT - 8, y + 4, f"{_number(most * share)} {unit}", "end"),
        ]
    return "".join(parts)


def _key(number: int, name: str, colour: str) -> str:
    y = _TOP + 22 * number
    mark = f'<rect x="{_WIDTH - 185}" y="{y}" width="12" height="12" rx="2" fill="{colour}"/>'
    return mark + _text(_WIDTH - 168, y + 11, name, "start")


def _number(value: float) -> str:
    """Three digits that count, never as a power of ten: 2440.1 is 2,440."""
    return f"{float(f'{value:.3g}'):,.10g}"


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _write(path: Path, title: str, parts: Sequence[str], height: float) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join([head, _STYLE, _text(8, 20, title, "start", "title"), *parts, "</svg>"])
    path.write_text(content + "\n", encoding="utf-8")
