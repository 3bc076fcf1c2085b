"""No secret's value stands in a manifest: manifests are committed, shown in a UI and kept by an API server.

`secret_values` finds what looks like one, or is one, and never repeats it. It knows the names of our own secret variables
(settings) and the shapes of well-known keys; the values to look for are given to it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from tiphys.settings import variables

Json = dict[str, Any]
SHORTEST = 12
"""Fewer characters than these are no secret to look for: they would be found in any text."""

_NAMED = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|CREDENTIALS?)$", re.IGNORECASE
)
_FILLED_IN = re.compile(r"\{\{.*\}\}|\$\(\w+\)", re.DOTALL)
SHAPES = {
    "an AWS access key id": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "a bearer token": re.compile(r"\bbearer\s+[A-Za-z0-9._~+/-]{20,}", re.IGNORECASE),
    "a JSON web token": re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{50})"),
    "a GitLab token": re.compile(r"\bglpat-[\w-]{20}"),
    "a Slack token": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{20}"),
    "a Google API key": re.compile(r"\bAIza[\w-]{35}\b"),
    "a URL with a password": re.compile(r"\w://[^/\s:@{}$]+:[^/\s@{}$]+@"),
}
_REMEDY = "take it out and refer to a Secret (envFrom.secretRef or valueFrom.secretKeyRef)"


def secret_values(document: Json, known: Collection[str] = ()) -> list[str]:
    """Every place of the document that holds a secret's value, with the remedy; `known` are values to look for."""
    own = {each.name for each in variables() if each.secret}
    look_for = [value for value in known if len(value) >= SHORTEST]
    found = dict(_look(document, "", own, look_for))
    return [
        f"{path} holds {what}: {_REMEDY}; if it was ever committed or shown, make a new one"
        for path, what in found.items()
    ]


def _look(value: Any, path: str, own: set[str], known: list[str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        yield from _named(value, path, own)
        for key, inner in value.items():
            yield from _look(inner, f"{path}.{key}" if path else str(key), own, known)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            name = inner.get("name") if isinstance(inner, dict) else None
            yield from _look(inner, f"{path}[{name or index}]", own, known)
    elif isinstance(value, str) and (what := _is_one(value, known)):
        yield path, what


def _named(entry: Json, path: str, own: set[str]) -> Iterator[tuple[str, str]]:
    """An environment variable, or a parameter, that is called as secrets are and has its value written down."""
    name, value = entry.get("name"), entry.get("value", entry.get("default"))
    if not isinstance(name, str) or not isinstance(value, str) or not value:
        return
    variable = name.upper().replace("-", "_")
    if variable in own:
        yield f"{path}.value", f"a value for {variable}, which is secret"
    elif _NAMED.search(variable) and not _FILLED_IN.search(value):
        yield f"{path}.value", f"a value for {name!r}, which is called as secrets are"


def _is_one(text: str, known: list[str]) -> str:
    if any(value in text for value in known):
        return "the value of a secret of this machine"
    return next((what for what, shape in SHAPES.items() if shape.search(text)), "")
