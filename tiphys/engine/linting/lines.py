"""Where in a file something stands, by its place in the document: the lines are those that the YAML reader saw."""

from __future__ import annotations

import re
from typing import Any

import yaml

Json = dict[str, Any]
Path = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLACE = re.compile(
    r"(?:^|[\s'(.])((?:spec|templates|metadata|data|stringData)(?:[.\[][^\s:,;'\")]*)?)(?=$|[\s:,;'\")])"
)
_TOKEN = re.compile(r"\[([^\]]+)\]|([^.\[\]]+)")
_INSIDE = ("spec", "workflowSpec", "dag", "container", "script", "templates", "tasks", "steps")
"""What a message leaves out of a path."""


class Lines:
    """The lines of one document."""

    def __init__(self, node: Any, text: list[str]) -> None:
        """`node` is the document as `yaml.compose` gives it, `text` are the lines of the file."""
        self._node = node
        self._text = text
        self.first: int = node.start_mark.line + 1

    def with_word(self, word: str, line: int) -> int:
        """The first line from `line` on, within the document, that has `word`; else `line`."""
        last: int = self._node.end_mark.line + 1
        return next((at for at in range(line, last + 1) if at <= len(self._text) and word in self._text[at - 1]), line)

    def of(self, path: Path, offset: int = 0) -> int:
        """The line of what is at `path`, or of the nearest around it; `offset` lines of a text further down."""
        line, node = self.first, self._node
        for step in path:
            found = _child(node, step)
            if found is None:
                return line
            line, node = found
        if offset >= 0 and isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return int(node.start_mark.line) + 2 + (offset if node.style == "|" else 0)
        return line


def _child(node: Any, step: str | int) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if getattr(key, "value", None) == step:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        value = node.value[step]
        return value.start_mark.line + 1, value
    return None


def lines_of(text: str) -> list[Lines]:
    """The lines of each document of a file that is YAML; those that are empty are left out, as `load_text` does."""
    try:
        text_lines = text.splitlines()
        return [Lines(node, text_lines) for node in yaml.compose_all(text, Loader=_Loader) if not _is_empty(node)]
    except (yaml.YAMLError, RecursionError):
        return []


def _is_empty(node: Any) -> bool:
    return node is None or (isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null"))


def path_of(document: Json, text: str) -> Path:
    """The path that a message names, as `templates.main.steps[0].a`; as far as the document has it."""
    found = _PLACE.search(text)
    if found is None:
        return ()
    tree: Any = document
    path: Path = ()
    for bracket, word in _TOKEN.findall(found[1]):
        name = bracket or word
        step = _step(tree, name)
        if step is None:
            return path
        for each in step:
            tree = tree[each]
        path += step
    return path


def _step(tree: Any, name: str) -> Path | None:
    """One or two steps down to what `name` is: a key, an index, or the element of that name."""
    if isinstance(tree, dict):
        if name in tree:
            return (name,)
        for key in _INSIDE:
            below = _step(tree[key], name) if isinstance(tree.get(key), (dict, list)) else None
            if below is not None:
                return (key, *below)
    if isinstance(tree, list):
        if name.isdigit() and int(name) < len(tree):
            return (int(name),)
        for index, each in enumerate(tree):
            if isinstance(each, dict) and each.get("name") == name:
                return (index,)
    return None
