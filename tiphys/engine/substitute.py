"""Fills in `{{tags}}`: plain names and `{{=expressions}}`, in every text of a JSON-like tree.

Argo replaces in the JSON text of an object; here each text of the tree is replaced by itself, which is the same as
long as no tag spans two of them. Values that JSON could not carry are refused as there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tiphys.engine.errors import AbsentOptionalError, ExpressionError, TemplateError, UnresolvedError
from tiphys.engine.expressions import evaluate, expand, has_variable, identifiers, is_function, parse
from tiphys.engine.expressions.values import clean
from tiphys.engine.gotext import go_json

Variables = Mapping[str, Any]

# Tags with these names get their values later: an expression that needs one waits.
_LATE = (
    "item", "retries", "lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message",
    "workflow.status", "workflow.failures",
)  # fmt: skip
# What Go's strconv.Quote writes in a form that is no JSON: the object would not parse any more.
_NOT_JSON = re.compile("[\x00-\x07\x0b\x0e-\x1f\x7f]")
# White space around a name that is the same in JSON: a tab or a line feed in a tag is an escape there, and stays.
_SPACES = " \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
ALL = ("",)
LONGEST = 32 << 20
"""Characters of a text whose tags are filled in. Without a bound, thirty steps that call one another double it to a gigabyte."""


class Substitution:
    """Values for tags, and which tags must have one."""

    def __init__(self, variables: Variables, strict: tuple[str, ...] = (), *, artifacts_may_wait: bool = True) -> None:
        """`strict` holds the first words (`tasks`, `steps`) of tags that must resolve; `ALL` means every tag."""
        self._variables = variables
        self._strict = strict
        self._artifacts_may_wait = artifacts_may_wait
        self._environment: dict[str, Any] | None = None

    def fill(self, tree: Any) -> Any:
        """`tree` with its tags filled in; parts without tags are shared, not copied. Raises TemplateError."""
        if isinstance(tree, str):
            return self.text(tree) if "{{" in tree else tree
        if isinstance(tree, dict):
            return {self.fill(key): self.fill(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self.fill(value) for value in tree]
        return tree

    def text(self, text: str) -> str:
        """`text` with its tags filled in."""
        parts: list[str] = []
        at = size = 0
        while (start := text.find("{{", at)) >= 0:
            end = text.find("}}", start + 2)
            if end < 0:
                msg = f'Cannot find end tag="}}}}" in the template="{text}" starting from "{text[start + 2 :]}"'
                raise TemplateError(msg)
            parts += [text[at:start], self._tag(text[start + 2 : end])]
            size += len(parts[-1])
            if size > LONGEST:
                msg = f"the text {text[:60]!r}... becomes longer than {LONGEST >> 20} MiB with its tags filled in: use an artifact"
                raise TemplateError(msg)
            at = end + 2
        parts.append(text[at:])
        return "".join(parts)

    def _tag(self, tag: str) -> str:
        filled = self._expression(tag[1:]) if tag.startswith("=") else self._simple(tag)
        return "{{" + tag + "}}" if filled is None else filled

    def _is_strict(self, name: str) -> bool:
        return any(not first or name == first or name.startswith(f"{first}.") for first in self._strict)

    def _simple(self, tag: str) -> str | None:
        name = tag.strip(_SPACES)
        if name in self._variables:
            return self._value(tag, self._variables[name])
        if (nested := self._nested(tag)) is not None:
            return nested
        artifact = self._artifacts_may_wait and ".outputs.artifacts." in name
        if self._is_strict(name) and not artifact:
            msg = f"failed to resolve {{{{{tag}}}}}"
            raise UnresolvedError(msg)
        return None

    def _value(self, tag: str, value: Any) -> str:
        if value is None:
            msg = f"unable to substitute {{{{{tag}}}}}: output is an absent optional (skipped/omitted node with no default)"
            raise AbsentOptionalError(msg)
        if not isinstance(value, str):
            msg = f"failed to resolve {{{{{tag}}}}} to string"
            raise TemplateError(msg)
        return _quotable(value)

    def _nested(self, tag: str) -> str | None:
        start = tag.rfind("{{")
        if start <= 0 or tag[start + 2 :] not in self._variables:
            return None
        inner = self._variables[tag[start + 2 :]]
        if inner is None:
            msg = f'unable to substitute nested tag {{{{{tag}}}}}: "{tag[start + 2 :]}" is an absent optional'
            raise AbsentOptionalError(msg)
        return "{{" + tag[:start] + _quotable(str(inner))

    def _expression(self, text: str) -> str | None:
        if self._environment is None:
            self._environment = expand(self._variables)
        try:
            missing = [name for name in identifiers(parse(text)) if not self._known(name)]
        except ExpressionError as error:
            msg = f"failed to evaluate expression: {error}"
            raise ExpressionError(msg) from None
        for name in missing:
            if self._strict and self._is_strict(name):
                msg = f"failed to evaluate expression: {name} is missing"
                raise UnresolvedError(msg)
        may_wait = bool(missing) or not self._strict
        if may_wait and any(name in _LATE for name in missing):
            return None
        return self._evaluated(text, may_wait=may_wait)

    def _known(self, name: str) -> bool:
        environment = self._environment or {}
        return name in self._variables or has_variable(environment, name) or is_function(name)

    def _evaluated(self, text: str, *, may_wait: bool) -> str | None:
        try:
            result = evaluate(text, self._environment or {})
        except ExpressionError as error:
            if may_wait:
                return None
            msg = f"failed to evaluate expression: {error}"
            raise ExpressionError(msg) from None
        if result is None:
            if may_wait:
                return None
            msg = f'failed to evaluate expression "{text}"'
            raise ExpressionError(msg)
        try:
            return clean(result) if isinstance(result, str) else _written(go_json(result))
        except TypeError as error:
            if may_wait:
                return None
            msg = f"failed to marshal evaluated expression: {error}"
            raise ExpressionError(msg) from None


def _quotable(text: str) -> str:
    """`text`, which Go must be able to quote in JSON. Raises TemplateError."""
    if _NOT_JSON.search(text) or not (text.isascii() or all(char <= "\uffff" or char.isprintable() for char in text)):
        msg = "cannot finish template replacement because the result was invalid JSON"
        raise TemplateError(msg)
    return text


def _written(text: str) -> str:
    """A result in JSON as it is inserted: without the quotes of a text, such as a date."""
    return json.loads(text) if text.startswith('"') else _quotable(text)


def fill(tree: Any, variables: Variables, strict: tuple[str, ...] = (), *, artifacts_may_wait: bool = True) -> Any:
    """`tree` with the tags filled in that `variables` knows; see Substitution."""
    return Substitution(variables, strict, artifacts_may_wait=artifacts_may_wait).fill(tree)


def text_of(tree: Any) -> str:
    """All texts of `tree`, one a line: what a tag or an expression in it could name."""
    if isinstance(tree, str):
        return tree + "\n"
    if isinstance(tree, dict):
        return "".join(text_of(part) for pair in tree.items() for part in pair)
    if isinstance(tree, list):
        return "".join(text_of(value) for value in tree)
    return ""
