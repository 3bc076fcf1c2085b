"""The report of the checks as one HTML page without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from components.check_data.checks import Check

_STYLE = (
    "body{font:15px system-ui;margin:2em;max-width:70em}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:left}.bad{color:#b00020;font-weight:bold}"
)


def page(title: str, verdict: str, checks: Sequence[Check]) -> str:
    """Failed checks first."""
    rows = "".join(_row(each) for each in sorted(checks, key=lambda each: each.passed))
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    columns = "<tr><th>check</th><th>found</th><th>allowed</th><th></th></tr>"
    return f"{head}<h1>{escape(title)}</h1><p>{escape(verdict)}</p><table>{columns}{rows}</table></html>\n"


def _row(check: Check) -> str:
    verdict = "good" if check.passed else '<span class="bad">failed</span>'
    cells = "".join(f"<td>{escape(text)}</td>" for text in (check.name, check.found, check.allowed))
    return f"<tr>{cells}<td>{verdict}</td></tr>"
