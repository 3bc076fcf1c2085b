"""A report as one HTML page without scripts, readable on light and dark screens: the frame and the style that steps share."""

from __future__ import annotations

from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b2430, #e8ecf1); --dim: light-dark(#66717f, #97a3b2);
  --page: light-dark(#f5f6f8, #12161c); --card: light-dark(#fff, #1b212a); --rule: light-dark(#e3e7ec, #2b3440);
  --ours: light-dark(#1f6feb, #58a6ff); --theirs: light-dark(#b3bcc8, #5b6878);
  --good: light-dark(#1a7f4b, #4cc38a); --bad: light-dark(#c4322b, #ff8078); --odd: light-dark(#9a6700, #e3b341) }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif }
main { max-width: 960px; margin: 0 auto; padding: 40px 24px 64px }
h1 { font-size: 25px; line-height: 1.25; margin: 8px 0 } h2 { font-size: 17px; margin: 0 0 6px } .dim { color: var(--dim) }
.badge { display: inline-block; padding: 3px 12px; border-radius: 99px; color: light-dark(#fff, #10151b); font-weight: 600 }
.badge.good { background: var(--good) } .badge.bad { background: var(--bad) } .badge.odd { background: var(--odd) }
td.good { color: var(--good) } td.bad { color: var(--bad) } td.odd { color: var(--odd) }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 20px 24px; margin-top: 18px }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 14px; margin-top: 22px }
.cards div { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 14px 16px }
.cards b { display: block; font-size: 25px; line-height: 1.25; font-variant-numeric: tabular-nums }
.cards span { font-size: 13px; color: var(--dim) }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { text-align: left; padding: 6px 10px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top } tr:last-child td { border: 0 }
th { color: var(--dim); font-size: 13px } .number { text-align: right; white-space: nowrap }
svg { width: 100%; height: auto; display: block; overflow: visible; margin-top: 8px } svg text { fill: var(--dim); font-size: 12px }
.ours { fill: var(--ours) } .theirs { fill: var(--theirs) } .wrong { fill: var(--bad) }
.line { fill: none; stroke-width: 2 } .one { stroke: var(--ours) } .two { stroke: var(--odd) } .three { stroke: var(--good) }
.limit { stroke: var(--bad); stroke-dasharray: 5 4 } .axis { stroke: var(--rule) } code { overflow-wrap: anywhere; font-size: 13px }
"""


def page(title: str, body: str) -> str:
    """Frame a page; ``body`` is HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def section(title: str, note: str, content: str) -> str:
    """One card of a page; ``content`` is HTML."""
    return f'<section><h2>{escape(title)}</h2><p class="dim">{escape(note)}</p>{content}</section>'
