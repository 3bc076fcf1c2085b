"""Keeps the values of Secrets out of a capsule: each stands there as a placeholder that says which Secret to ask again.

A value is looked for as it is and in the forms in which programs write it: base64, URL and JSON. Values of fewer than six
characters would be found in any text; they are replaced only where they are the whole text.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from tiphys.engine.objects import UNDECODED, ObjectStore

Json = dict[str, Any]
SHORTEST = 6
_LINE = 12  # characters of a line of a longer value, such as a key in PEM, that give it away
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API[_-]?KEY|ACCESS[_-]?KEY|PRIVATE[_-]?KEY|CREDENTIALS?)$",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"⟦secret ([-._a-z0-9]+)/([-._a-zA-Z0-9]+)( base64| url| json)?⟧")
WITHHELD = re.compile(r"⟦withheld ([^⟧]+)⟧")
PARTIAL = re.compile(r"⟦part of secret [^⟧]+⟧")
_WRITTEN: dict[str, Callable[[str], str]] = {
    "": lambda value: value,
    " base64": lambda value: base64.b64encode(value.encode("utf-8", UNDECODED)).decode(),
    " url": lambda value: quote(value, safe="", errors=UNDECODED),
    " json": lambda value: json.dumps(value)[1:-1],
}


class Redactor:
    """Replaces what must not be kept."""

    def __init__(self, objects: ObjectStore, more: Mapping[str, str] | None = None) -> None:
        """The values of all Secrets of `objects`; `more` are values that are secret by their name, such as a password."""
        self._whole: dict[str, str] = {}
        self._forms: dict[str, str] = {}
        for name in objects.names("Secret"):
            for key, value in (objects.data("Secret", name) or {}).items():
                self._add(value, f"{name}/{key}")
        for name, value in (more or {}).items():
            self._hide(value, f"⟦withheld {name}⟧")
        longest = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest))) if longest else None
        self.longest = len(longest[0]) if longest else 0
        """Characters of the longest form: so much more must be looked at where a text is cut."""

    def _add(self, value: str, name: str) -> None:
        if not value:
            return
        for form, write in _WRITTEN.items():
            self._hide(write(value), f"⟦secret {name}{form}⟧")
        if len(value) < SHORTEST:
            return
        self._hide(value.rstrip("\n"), f"⟦secret {name}⟧")
        for part in _parts(value):
            self._hide(part, f"⟦part of secret {name}⟧")

    def _hide(self, text: str, placeholder: str) -> None:
        if not text:
            return
        self._whole.setdefault(text, placeholder)
        if len(text) >= SHORTEST:
            self._forms.setdefault(text, placeholder)

    def text(self, text: str) -> str:
        """`text` with placeholders."""
        if text in self._whole:
            return self._whole[text]
        return text if self._pattern is None else self._pattern.sub(lambda match: self._forms[match[0]], text)

    def tree(self, tree: Any) -> Any:
        """A JSON-like tree with placeholders in its texts; keys are names and stay, and so does what stands under `name`."""
        if isinstance(tree, str):
            return self.text(tree)
        if isinstance(tree, Mapping):
            return {key: value if key == "name" else self.tree(value) for key, value in tree.items()}
        if isinstance(tree, (list, tuple)):
            return [self.tree(value) for value in tree]
        return tree

    def holds(self, content: bytes) -> bool:
        """Whether bytes hold something that must not be kept."""
        text = content.decode("utf-8", UNDECODED)
        return text in self._whole or (self._pattern is not None and self._pattern.search(text) is not None)


def _parts(value: str) -> Iterator[str]:
    """What gives a value away without being all of it: its lines, and base64 of a text that it is only a part of."""
    lines = [line.strip() for line in value.splitlines()]
    yield from (line for line in lines if len(lines) > 1 and len(line) >= _LINE)
    raw = value.encode("utf-8", UNDECODED)
    for before in (0, 1, 2):
        text = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        inner = text[(0, 2, 3)[before] : -2]  # without the characters that depend on what stands beside it
        if len(inner) >= _LINE:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")
    if (plus := quote_plus(value, errors=UNDECODED)) != value:
        yield plus


def secret_by_name(entries: Mapping[str, str]) -> dict[str, str]:
    """Those of `entries` (environment variables, parameters) that are called as secrets are and have a value of some length."""
    return {name: value for name, value in entries.items() if _SECRET_NAME.search(name) and len(value) >= SHORTEST}


def named_secrets(tree: Any) -> set[str]:
    """The Secrets, as NAME/KEY, whose placeholders stand in `tree`: their values would be put in."""
    if isinstance(tree, str):
        return {f"{match[1]}/{match[2]}" for match in _PLACEHOLDER.finditer(tree)}
    if isinstance(tree, dict):
        return set().union(*(named_secrets(value) for value in tree.values()))
    return set().union(*(named_secrets(value) for value in tree)) if isinstance(tree, list) else set()


def restore(tree: Any, objects: ObjectStore, missing: set[str]) -> Any:
    """`tree` with the values that Secrets have now in the place of their placeholders; those that have none go to `missing`."""

    def value_of(match: re.Match[str]) -> str:
        value = (objects.data("Secret", match[1]) or {}).get(match[2])
        if value is None:
            missing.add(f"Secret {match[1]}, key {match[2]}")
            return match[0]
        return _WRITTEN[match[3] or ""](value)

    if isinstance(tree, str):
        missing.update(match[0].strip("⟦⟧") for pattern in (WITHHELD, PARTIAL) for match in pattern.finditer(tree))
        return _PLACEHOLDER.sub(value_of, tree)
    if isinstance(tree, dict):
        return {key: restore(value, objects, missing) for key, value in tree.items()}
    if isinstance(tree, list):
        return [restore(value, objects, missing) for value in tree]
    return tree
