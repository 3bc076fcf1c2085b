"""The evaluation as one page: self-contained HTML, plots as inline SVG, readable in light and in dark. No script."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from components.evaluate import svg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.evaluate.asking import Answers
    from components.evaluate.contract import Inputs
    from components.evaluate.figures import Figures
    from components.evaluate.judge import Judged
    from components.evaluate.measure import Measured
    from tiphys.usecase import Examples, UseCase

_QUO = "status_quo"
_OURS = "this model"
_MARKS = {"passed": "✓", "missed": "✗", "not judged": "○"}

_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b2430, #e8ecf1); --dim: light-dark(#66717f, #97a3b2);
  --page: light-dark(#f5f6f8, #12161c); --card: light-dark(#fff, #1b212a); --rule: light-dark(#e3e7ec, #2b3440);
  --ours: light-dark(#1f6feb, #58a6ff); --theirs: light-dark(#b3bcc8, #5b6878);
  --good: light-dark(#1a7f4b, #4cc38a); --bad: light-dark(#c4322b, #ff8078); }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif }
main { max-width: 960px; margin: 0 auto; padding: 40px 24px 64px }
h1 { font-size: 27px; line-height: 1.25; margin: 6px 0 }
h2 { font-size: 18px; margin: 0 0 4px } p { margin: 0 0 14px } .dim { color: var(--dim) }
.badge { display: inline-block; padding: 3px 12px; border-radius: 99px; color: light-dark(#fff, #10151b); font-weight: 600; font-size: 13px }
.badge.passed { background: var(--good) } .badge.missed { background: var(--bad) }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 22px 24px; margin-top: 20px }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 14px; margin-top: 22px }
.cards div { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 14px 16px }
.cards b { display: block; font-size: 25px; line-height: 1.25; font-variant-numeric: tabular-nums }
.cards span { font-size: 13px; color: var(--dim) }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 600; color: var(--dim); font-size: 13px }
td, th { padding: 7px 10px 7px 0; border-bottom: 1px solid var(--rule); vertical-align: top } tr:last-child td { border: 0 }
.number { text-align: right; white-space: nowrap }
.passed, .better { color: var(--good) } .missed, .worse { color: var(--bad) }
.badge.passed, .badge.missed { color: light-dark(#fff, #10151b) }
svg { width: 100%; height: auto; display: block; margin-top: 12px; overflow: visible }
svg text { fill: var(--ink); font-size: 13px } svg .small { fill: var(--dim); font-size: 12px } svg .value { font-weight: 600 }
svg .value.better { fill: var(--good) } svg .value.worse { fill: var(--bad) }
.ours { fill: var(--ours) } .theirs { fill: var(--theirs) } .soft { opacity: .75 } .cell { fill: var(--ours) }
line.better { stroke: var(--good); stroke-width: 3 } line.worse { stroke: var(--bad); stroke-width: 3 }
line.grid { stroke: var(--rule) } line.equal { stroke: var(--dim); stroke-dasharray: 4 4 }
.line { fill: none; stroke: var(--dim); stroke-width: 2 }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin: 0 5px 0 14px; background: var(--theirs) }
.legend i.o { background: var(--ours); margin-left: 0 }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 20px } .two section { margin-top: 20px }
@media (max-width: 760px) { .two { grid-template-columns: 1fr; gap: 0 } }
details summary { cursor: pointer; font-weight: 600 } code { font-size: 13px; overflow-wrap: anywhere }
"""


@dataclass(frozen=True)
class Evaluation:
    """All that the page tells."""

    use_case: UseCase
    inputs: Inputs
    measured: Measured
    judged: Sequence[Judged]
    contenders: Sequence[Mapping[str, Any]] = ()
    """All that could have been registered, where there was more than the network."""

    @property
    def test(self) -> Examples:
        """The rows that it is judged on."""
        return self.measured.rows.test

    @property
    def answers(self) -> Answers:
        """What everybody answered."""
        return self.measured.answers

    @property
    def figures(self) -> Figures:
        """Every figure."""
        return self.measured.figures

    @property
    def unit(self) -> str:
        """The target's unit."""
        return self.use_case.target.unit

    @property
    def passed(self) -> bool:
        """Whether no gate was missed."""
        return all(each.outcome != "missed" for each in self.judged)


def page(told: Evaluation) -> str:
    """Write the page."""
    body = "".join(
        (
            _head(told),
            _cards(told),
            _compared(told),
            _contest(told),
            _gates(told),
            _slices(told),
            _plots(told),
            _all(told),
        )
    )
    title = f"Evaluation of {told.use_case.name}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _head(told: Evaluation) -> str:
    found, unit = told.figures, told.unit
    outcome = "passed" if told.passed else "missed"
    words = "passed every gate" if told.passed else "missed a gate: not registered"
    gain = 100 * (1 - found["mae"] / found[f"{_QUO}.mae"])
    change = f"{gain:.0f} % less wrong" if gain >= 0 else f"{-gain:.0f} % more wrong"
    return (
        f'<span class="badge {outcome}">{words}</span>'
        f"<h1>{escape(told.use_case.name)}: answers are off by {found['mae']:.0f} {escape(unit)} on average, "
        f"{change} than the status quo</h1>"
        f'<p class="dim">{len(told.test):,} rows of {escape(told.measured.rows.span)}, which training never saw. '
        f"Predicted: {escape(told.use_case.target.description)}.</p>"
    )


def _cards(told: Evaluation) -> str:
    found, unit, target = told.figures, escape(told.unit), told.use_case.target
    quo = {name: found[f"{_QUO}.{name}"] for name in ("mae", "p95", "close_share", "bias", "wape")}
    cards = (
        ("mean absolute error", f"{found['mae']:.1f} {unit}", f"{quo['mae']:.1f} {unit}"),
        ("95 % are off by less than", f"{found['p95']:.0f} {unit}", f"{quo['p95']:.0f} {unit}"),
        (f"within {target.close:g} {unit}", f"{found['close_share']:.1%}", f"{quo['close_share']:.1%}"),
        ("bias (above 0: too long)", f"{found['bias']:+.1f} {unit}", f"{quo['bias']:+.1f} {unit}"),
        ("weighted error (WAPE)", f"{found['wape']:.1%}", f"{quo['wape']:.1%}"),
    )
    tiles = "".join(
        f"<div><span>{name}</span><b>{value}</b><span>status quo {before}</span></div>" for name, value, before in cards
    )
    return f'<div class="cards">{tiles}</div>'


def _compared(told: Evaluation) -> str:
    rows = [(name, told.figures[f"{name}.mae"]) for name in told.answers.baselines]
    rows.append((_OURS, told.figures["mae"]))
    rows.sort(key=lambda each: -each[1])
    plot = svg.bars(rows, told.unit, _OURS)
    return _section("Against its baselines", "Mean absolute error on the same rows; shorter is better.", plot)


def _contest(told: Evaluation) -> str:
    if not told.contenders:
        return ""
    names = [name for name in told.contenders[0] if name not in {"name", "outcome"}]
    heads = "".join(f"<th class=number>{escape(name.replace('_', ' '))}" for name in names)
    rows = "".join(
        f"<tr><td>{escape(each['name'])}</td>"
        + "".join(f'<td class="number">{each[name]:,.4g}</td>' for name in names)
        + f"<td>{escape(each['outcome'])}</td></tr>"
        for each in told.contenders
    )
    table = f"<table><tr><th>candidate{heads}<th>what became of it</tr>{rows}</table>"
    return _section(
        "Candidates",
        "What could be served, each judged as if it were the model. If export finds the best too slow or too large, the next that passed is.",
        table,
    )


def _gates(told: Evaluation) -> str:
    rows = "".join(
        f'<tr><td class="{each.outcome.split()[0]}">{_MARKS[each.outcome]}&nbsp;{_outcome(each)}</td>'
        f"<td><code>{escape(each.gate.metric)}</code><br><span class=dim>{escape(each.gate.reason)}</span></td>"
        f'<td class="number">{each.value:.4g}</td><td class="number">{escape(each.asked)}</td></tr>'
        for each in told.judged
    )
    table = f"<table><tr><th>gate<th>figure<th class=number>measured<th class=number>asked</tr>{rows}</table>"
    return _section("Gates", "What the use case demands before a model is registered.", table)


def _outcome(judged: Judged) -> str:
    return judged.outcome + (f":<br>{escape(judged.lacks)}" if judged.lacks else "")


def _slices(told: Evaluation) -> str:
    found = told.figures
    names = [key.split(".")[1] for key in found if key.startswith("slice.") and key.endswith(f".{_QUO}_mae")]
    pairs = [
        svg.Pair(
            name,
            found[f"slice.{name}.mae"],
            found[f"slice.{name}.{_QUO}_mae"],
            int(found[f"slice.{name}.rows"]),
        )
        for name in names
    ]
    legend = '<p class="dim legend"><i class="o"></i>this model<i></i>status quo; green: better; n: rows</p>'
    return _section("Slices", "Parts that a mean could hide.", legend + svg.dumbbells(pairs, told.unit))


def _plots(told: Evaluation) -> str:
    truth, ours, quo = told.test.target, told.answers.model, told.answers.baselines[_QUO]
    against = svg.heat(truth, ours, told.unit)
    spread = svg.histogram(ours - truth, quo - truth, told.unit)
    left = _section("Answer against truth", "On the dashed line an answer is right; darker: more rows.", against)
    note = "Blue: this model. Line: the status quo. Narrower is better; right of the middle: answered too long."
    return f'<div class="two">{left}{_section("Spread of errors", note, spread)}</div>'


def _all(told: Evaluation) -> str:
    rows = "".join(
        f'<tr><td><code>{escape(name)}</code></td><td class="number">{value:,.4g}</td></tr>'
        for name, value in told.figures.items()
    )
    inputs = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(str(value))}</code></td></tr>"
        for name, value in told.inputs.model_dump().items()
    )
    return (
        f"<section><h2>Where it comes from</h2><table>{inputs}</table></section>"
        f"<section><details><summary>All figures</summary><table>{rows}</table></details></section>"
    )


def _section(title: str, note: str, content: str) -> str:
    return f'<section><h2>{escape(title)}</h2><p class="dim">{escape(note)}</p>{content}</section>'
