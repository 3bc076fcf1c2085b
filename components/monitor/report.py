"""One look as a page that is complete in itself: what alarms, the running tests, errors by slice, columns side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from components.monitor import plots
from tiphys.pages import page as framed
from tiphys.pages import section
from tiphys.watch.drift.findings import iso
from tiphys.watch.drift.residuals import ALL

if TYPE_CHECKING:
    from tiphys.watch.drift.reference import Reference
    from tiphys.watch.drift.summary import Window
    from tiphys.watch.drift.watch import Look

_BADGES = {"drift": "bad", "stable": "good", "not enough": "odd"}
_STATES = {"alarm": ("bad", "✗ alarm"), "fine": ("good", "✓ fine"), "unknown": ("odd", "○ not judged")}
_COLUMNS_SHOWN = 8
_SHOWN = 3


def summary(look: Look) -> str:
    """What was found, in a sentence."""
    if look.alarms:
        more = f"; and {len(look.alarms) - _SHOWN} more" if len(look.alarms) > _SHOWN else ""
        return "; ".join(each.text for each in look.alarms[:_SHOWN]) + more
    judged = sum(each.state == "fine" for each in look.checks)
    unknown = len(look.checks) - judged
    if look.verdict == "stable":
        return f"{judged} checks of {look.rows} answers and {look.labelled} truths find nothing; {unknown} could not be made"
    return f"{look.rows} answers and {look.labelled} truths are too few to say anything: this is no all-clear"


def page(about: Mapping[str, Any], window: Window, look: Look, reference: Reference) -> str:
    """Write the page."""
    body = "".join((
        _head(about, window, look), _cards(about, look), _checks(look), _evidence(look), _slices(about, look, reference),
        _columns(look, reference), _origin(about, reference),
    ))  # fmt: skip
    return framed(f"Drift of {about['use_case']}", body)


def _head(about: Mapping[str, Any], window: Window, look: Look) -> str:
    alarms = len(look.alarms)
    words = {
        "drift": f"{alarms} {'thing differs' if alarms == 1 else 'things differ'} from what {about['model_version']} was made from",
        "stable": f"live questions are like those that {about['model_version']} was made from",
        "not enough": "too little came to say anything",
    }
    return (
        f'<span class="badge {_BADGES[look.verdict]}">{look.verdict}</span><h1>{escape(words[look.verdict])}</h1>'
        f'<p class="dim">{look.rows:,} answers from {iso(window.since)} to {iso(window.until)} by the use case\'s own clock, '
        f"{look.labelled:,} of them by this model and with a known truth. {escape(summary(look))}.</p>"
    )


def _cards(about: Mapping[str, Any], look: Look) -> str:
    unit, figures = str(about.get("unit", "")), look.figures
    usual = figures.get(f"error_reference.{ALL}", math.nan)
    cards = (
        (
            "mean absolute error",
            _figure(figures.get(f"error.{ALL}"), f" {unit}"),
            f"evaluated: {_figure(usual, f' {unit}')}",
        ),
        ("expected before truths came", _figure(figures.get("error.expected"), f" {unit}"), "from answers alone"),
        ("truths in their intervals", _share(figures.get(f"coverage.{ALL}")), "80 % are stated"),
        ("rows of the last day", f"{look.volume.rows:,}", f"expected: {_figure(look.volume.expected, '')}"),
    )
    tiles = "".join(
        f"<div><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(note)}</span></div>"
        for name, value, note in cards
    )
    return f'<div class="cards">{tiles}</div>'


def _checks(look: Look) -> str:
    order = {"alarm": 0, "unknown": 2, "fine": 1}
    rows = "".join(
        f'<tr><td class="{_STATES[each.state][0]}">{_STATES[each.state][1]}</td><td>{each.kind}</td>'
        f'<td>{escape(each.subject)}</td><td>{escape(each.text)}</td><td class="number">{_figure(each.value, "")}</td>'
        f'<td class="number">{_figure(each.threshold, "")}</td></tr>'
        for each in sorted(look.checks, key=lambda each: order[each.state])
    )
    head = "<tr><th><th>kind<th>of<th>found<th class=number>value<th class=number>limit</tr>"
    return section("Checks", "An alarm needs evidence and effect.", f"<table>{head}{rows}</table>")


def _evidence(look: Look) -> str:
    own = [each for each in look.tracks if each.group == ALL and len(each.days)]
    if not own:
        return section("Running tests of errors", "No truths are known yet.", "")
    lines = [
        (f"{each.direction} (limit {each.limit:g})", [float(one) / each.limit for one in each.level]) for each in own
    ]
    note = "Evidence at each day's end as a share of its limit: truths longer than the answers, shorter, further off."
    return section(
        "Running tests of errors", note, plots.lines([iso(day * 86_400.0)[:10] for day in own[0].days], lines, 1.0)
    )


def _slices(about: Mapping[str, Any], look: Look, reference: Reference) -> str:
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{int(each["rows"]):,}</td>'
        f'<td class="number">{_figure(each["error"], "")}</td><td class="number">{_figure(reference.residuals.groups[name].error, "")}</td>'
        f'<td class="number">{_share(each["inside"])}</td></tr>'
        for name, each in look.groups.items()
    )
    unit = escape(str(about.get("unit", "")))
    head = f"<tr><th>slice<th class=number>truths<th class=number>error, {unit}<th class=number>evaluated<th class=number>in interval</tr>"
    return section(
        "Errors by slice",
        "Mean absolute error in the window beside that of the evaluation.",
        f"<table>{head}{rows}</table>",
    )


def _columns(look: Look, reference: Reference) -> str:
    shown = sorted((each for each in look.shifts.values() if each.rows), key=lambda each: -each.psi)
    bars = plots.bars([(each.name, each.psi) for each in shown]) if shown else ""
    pairs = "".join(
        f"<h2>{escape(each.name)}</h2><p class=dim>{escape(reference.meanings.get(each.name, ''))}; PSI {each.psi:.3f}</p>"
        + plots.pairs(each.labels, each.now, each.expected)
        for each in shown[:_COLUMNS_SHOWN]
    )
    note = "Population stability index against the reference at the same hours; below, shares in the window (blue) and expected (grey)."
    return section("How values are spread", note, bars + pairs)


def _origin(about: Mapping[str, Any], reference: Reference) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td><code>{escape(str(value))}</code></td></tr>"
        for name, value in {**reference.about, **about, "reference": reference.address}.items()
    )
    return section("Where it comes from", "The reference is made once a model version.", f"<table>{rows}</table>")


def _figure(value: float | None, unit: str) -> str:
    return "unknown" if value is None or not math.isfinite(value) else f"{value:,.4g}{unit}"


def _share(value: float | None) -> str:
    return "unknown" if value is None or not math.isfinite(value) else f"{value:.1%}"
