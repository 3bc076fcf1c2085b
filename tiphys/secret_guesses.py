"""Finds what is probably a secret in a manifest: called as one beside its value, or long and random.

`secret_values` finds what is one for certain. What these find they never repeat.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tiphys.secret_values import SHAPES

Json = dict[str, Any]
_WORD = r"(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_QUOTED = r"""(?:\s*[=:]\s*)(?:'([^'\s{}$]{6,})'|"([^"\s{}$]{6,})")"""
_SHELL = r"""=([^\s'"{}$()\[\]<>,;]{6,})(?![\w(\[.])"""
_YAML = r""":\ +([^\s'"{}$()\[\]<>,;]*\d[^\s'"{}$()\[\]<>,;]*)\s*$"""
_ASSIGNED = re.compile(rf"""(?:^|[\s'"-])[\w-]*{_WORD}(?:{_QUOTED}|{_SHELL}|{_YAML})""", re.IGNORECASE | re.MULTILINE)
_FLAG = re.compile(rf"--?[\w-]*{_WORD}", re.IGNORECASE)
_PLAIN_VALUE = re.compile(r"[^{}$\s]{6,}")
_NAME_OF_ONE = re.compile(
    r"/[\w./-]+|[\w.]+\.[\w.]+|none|null|false|true|required|optional|changeme_?later", re.IGNORECASE
)
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{24,128}")
_BITS = 4.2  # of a character: words and identifiers have fewer
_MORE_SHAPES = {
    "a Stripe key": re.compile(r"\b[sr]k_live_[0-9a-zA-Z]{20}"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30}"),
    "an OpenAI or Anthropic key": re.compile(r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32}"),
    "an npm token": re.compile(r"\bnpm_[A-Za-z0-9]{36}"),
    "a PyPI token": re.compile(r"\bpypi-[A-Za-z0-9_-]{50}"),
    "an Azure storage key": re.compile(r"AccountKey=[A-Za-z0-9+/]{40}"),
    "a DigitalOcean token": re.compile(r"\bdo[opr]_v1_[0-9a-f]{64}"),
    "a Weights & Biases key": re.compile(r"WANDB_API_KEY\W+[0-9a-f]{40}"),
}
REMEDY = "take it out and refer to a Secret (envFrom.secretRef or valueFrom.secretKeyRef)"


def open_secrets(document: Json) -> Iterator[tuple[str, str]]:
    """Place and name of each value that is called as secrets are, or has the shape of a known key."""
    for place, text in _texts(document, ""):
        shape = next((what for what, pattern in _MORE_SHAPES.items() if pattern.search(text)), "")
        if shape:
            yield place, shape
        elif _code(place) and _is_assigned(text):
            yield place, "a value beside a name of secrets (password=...)"
    for place, words in _word_lists(document, ""):
        for flag, value in pairwise(words):
            if _FLAG.fullmatch(flag) and _PLAIN_VALUE.fullmatch(value) and not _harmless(value):
                yield place, f"a value after {flag}"


def random_looking(document: Json) -> Iterator[tuple[str, str]]:
    """Place and description of texts in environments and arguments that look like keys."""
    for place, text in _texts(document, ""):
        if (_code(place) or ".env" in place) and not any(pattern.search(text) for pattern in SHAPES.values()):
            word = next((word for word in _RANDOM.findall(text) if _is_random(word)), "")
            if word:
                yield place, f"a text of {len(word)} random characters"


def _is_assigned(text: str) -> bool:
    values = (next(filter(None, found.groups())) for found in _ASSIGNED.finditer(text))
    return any(not _harmless(value) for value in values)


def _harmless(value: str) -> bool:
    """A path, a dotted name, a word that stands for no value, or a mask."""
    return bool(_NAME_OF_ONE.fullmatch(value)) or len(set(value)) < 3  # noqa: PLR2004


def _is_random(word: str) -> bool:
    """Upper and lower case and digits, as mixed as chance has them; digests in hex are no secrets."""
    kinds = (str.isupper, str.islower, str.isdigit)
    if not all(any(kind(char) for char in word) for kind in kinds) or word.count("/") > len(word) / 12:
        return False
    total = len(word)
    return -sum(count / total * math.log2(count / total) for count in Counter(word).values()) >= _BITS


def _code(place: str) -> bool:
    return any(part in place for part in (".args[", ".command[", ".source"))


def _texts(tree: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, str):
        yield place, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _texts(value, f"{place}.{key}" if place else str(key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            name = value.get("name") if isinstance(value, dict) else None
            yield from _texts(value, f"{place}[{name or index}]")


def _word_lists(tree: Any, place: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            below = f"{place}.{key}" if place else str(key)
            if key in ("args", "command") and isinstance(value, list):
                yield below, [str(word) for word in value]
            else:
                yield from _word_lists(value, below)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            name = value.get("name") if isinstance(value, dict) else None
            yield from _word_lists(value, f"{place}[{name or index}]")
