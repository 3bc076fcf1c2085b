"""Plots for the docs as SVG files, readable on a light and a dark page: from numbers to text, nothing else."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

_WIDTH, _HEIGHT, _LEFT, _TOP = 760, 300, 70, 34
_COLOURS = ("#2f6fde", "#d9822b", "#1d9a6c", "#b4449c", "#7a7f87", "#c23b3b", "#0f8ea3")
MARKS = {"change": "#7a7f87", "alarm": "#d9822b", "no": "#b4449c", "new": "#1d9a6c", "refused": "#c23b3b"}
"""Colours of what happens in a timeline."""
_TIMELINE = ("#2f6fde", "#1d9a6c", "#7a7f87", "#b4449c")
_DASHED = 2
"""Number of the line that is drawn over the others, dashed."""
_LINE, _LETTERS, _LETTER = 18, 112, 18
"""Of a timeline's story: height of a line, letters in it, room for a mark's letter."""
_STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#444}.grid{stroke:#8884;stroke-width:1}.title{font-weight:600;font-size:14px}.letter{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}.letter{fill:#fff}}</style>"
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


def timeline(  # noqa: PLR0913, PLR0917 - what a timeline shows
    path: Path,
    title: str,
    span: tuple[float, float],
    series: Mapping[str, Sequence[tuple[float, float]]],
    story: Sequence[tuple[float, str, str]],
    units: tuple[str, str],
) -> None:
    """Lines over time with what happened: each mark is a place, a key of :data:`MARKS` and words, which stand below with its letter."""
    most = 100 * math.ceil(max(value for points in series.values() for _, value in points) / 100)
    top, high, room = _TOP + 58, 210, _WIDTH - _LEFT - 16

    def x(place: float) -> float:
        return _LEFT + room * (place - span[0]) / (span[1] - span[0])

    parts = [_grid(most, units[0], high, room, top)]
    week = range(int(span[0] // 7) * 7, int(span[1]) + 1, 7)
    parts += [_text(x(day), top + high + 16, f"{day}", "middle") for day in week if day >= span[0]]
    parts.append(_text(_LEFT + room, top + high + 32, units[1], "end"))
    place = float(_LEFT)
    for number, (name, points) in enumerate(series.items()):
        colour = _TIMELINE[number % len(_TIMELINE)]
        joined = " ".join(f"{x(day):.1f},{top + high * (1 - value / most):.1f}" for day, value in points)
        dashes = ' stroke-dasharray="5 4"' if number == _DASHED else ""
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts.append(
            f'<line x1="{place:.0f}" x2="{place + 20:.0f}" y1="{_TOP + 6}" y2="{_TOP + 6}" stroke="{colour}" stroke-width="3"{dashes}/>'
        )
        parts.append(_text(place + 26, _TOP + 10, name, "start"))
        place += 50 + 6.6 * len(name)
    parts += _marks(story, x, top, high)
    _write(path, title, parts, top + high + 44 + _LINE * sum(len(_wrapped(words)) for _, _, words in story))


def _marks(story: Sequence[tuple[float, str, str]], x: Callable[[float], float], top: int, high: int) -> list[str]:
    """A line at each place with a letter above it, beside the last one's where that is near, and the words below."""
    parts, ends, y = [], [-1e9, -1e9], top + high + 52
    for number, (place, kind, words) in enumerate(story):
        letter, colour = chr(ord("a") + number), MARKS[kind]
        row = 0 if x(place) - ends[0] > _LETTER else 1
        at = max(x(place), ends[row] + _LETTER)
        ends[row] = at
        parts.append(
            f'<line x1="{x(place):.1f}" x2="{x(place):.1f}" y1="{top - 6}" y2="{top + high}" stroke="{colour}" stroke-width="1.5"/>'
        )
        for centre, middle in ((at, top - 12 - 17 * row), (_LEFT - 40, y - 4)):
            parts.append(f'<circle cx="{centre:.1f}" cy="{middle:.1f}" r="8" fill="{colour}"/>')
            parts.append(
                f'<text class="letter" x="{centre:.1f}" y="{middle + 4:.1f}" text-anchor="middle">{letter}</text>'
            )
        for line in _wrapped(words):
            parts.append(_text(_LEFT - 24, y, line, "start"))
            y += _LINE
    return parts


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, _LETTERS)


def _grid(most: float, unit: str, high: float, room: float, top: float = _TOP) -> str:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = top + high * (1 - share)
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
