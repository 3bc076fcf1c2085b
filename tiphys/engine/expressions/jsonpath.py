"""JSONPath queries as the library that Argo uses answers them: `$.a.b[0]`, `[*]`, `..name`, slices, unions, filters, scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.jsonpath_scripts import Script
from tiphys.engine.expressions.values import Int64, to_bytes

_INT = re.compile(r"[+-]?[0-9]{1,18}")
_MISSING: Any = object()


def query(document: Any, path: str) -> Any:
    """The value at `path` of a parsed JSON document. Raises ExpressionError if nothing is there."""
    return apply(_steps(path), document, document)


def select(path: str, root: Any, current: Any) -> Any:
    """As `query`, for a path inside a filter that may start with `@`."""
    return apply(_steps(path), root, current)


def _fail(message: str) -> ExpressionError:
    return ExpressionError(message)


def whole(value: Any) -> int | None:
    """`value` as an index, if it is a whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if value == value // 1 else None


class Step:
    """One part of a path; `apply` finds its values and hands them to the following parts."""

    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        """The value for `current`. Raises ExpressionError."""
        raise NotImplementedError


def apply(steps: Sequence[Step], root: Any, current: Any) -> Any:
    """`current` through all of `steps`."""
    return steps[0].apply(root, current, steps[1:]) if steps else current


def _or_nil(steps: Sequence[Step], root: Any, current: Any) -> Any:
    try:
        return apply(steps, root, current)
    except ExpressionError:
        return None


class _Start(Step):
    def __init__(self, *, root: bool) -> None:
        self._root = root

    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        return apply(rest, root, root if self._root else current)


class _Key(Step):
    def __init__(self, key: str) -> None:
        self._key = key

    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        if not isinstance(current, dict):
            raise _fail(f"key: invalid token target. expected [map] got {type(current).__name__}")
        if self._key not in current:
            raise _fail(f"key: invalid token key '{self._key}' not found")
        return apply(rest, root, current[self._key])


class _Index(Step):
    def __init__(self, index: int) -> None:
        self._index = index

    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        if not isinstance(current, list):
            raise _fail(f"index: invalid token target. expected [array slice] got {type(current).__name__}")
        if not -len(current) <= self._index < len(current):
            raise _fail("index: invalid token out of range")
        return apply(rest, root, current[self._index])


class _Length(Step):
    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        if isinstance(current, dict) and "length" in current:
            return apply(rest, root, current["length"])
        if not isinstance(current, (dict, list, str)):
            raise _fail(f"length: invalid token target. got {type(current).__name__}")
        return apply(rest, root, Int64(len(to_bytes(current) if isinstance(current, str) else current)))


def _elements(current: Any, what: str) -> list[Any]:
    if isinstance(current, dict):
        return [current[key] for key in sorted(current)]
    if isinstance(current, list):
        return current
    raise _fail(f"{what}: invalid token target. expected [array map slice] got {type(current).__name__}")


class _Wildcard(Step):
    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        elements = _elements(current, "wildcard")
        if not rest:
            return list(elements)
        return [found for item in elements if (found := _or_nil(rest, root, item)) is not None]


class _Recursive(Step):
    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        if current is None:
            return []
        found = _or_nil(rest, root, current) if rest else current
        results = list(found) if isinstance(found, list) and rest else [] if found is None else [found]
        if isinstance(current, (dict, list)):
            for item in _elements(current, "recursive"):
                results += self.apply(root, item, rest)
        return results


def _spread(root: Any, found: list[Any], rest: Sequence[Step]) -> Any:
    """The following parts for each of `found`; an index picks one of them."""
    if not rest:
        return found
    if isinstance(rest[0], _Index):
        return apply(rest, root, found)
    return [value for item in found if (value := _or_nil(rest, root, item)) is not None]


class _Range(Step):
    def __init__(self, edges: list[Any]) -> None:
        self._edges = edges

    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        if not isinstance(current, list):
            raise _fail(f"range: invalid token target. expected [array slice] got {type(current).__name__}")
        edges = [self._edge(edge, root, current) for edge in (*self._edges, None, None)][:3]
        size, step = len(current), 1 if edges[2] is None else edges[2]
        if step == 0:
            raise _fail("range: invalid token out of range")
        start = _clamped(edges[0], 0, size)
        end = _clamped(edges[1], size, size)
        indexes = range(start, end, step) if step > 0 else range(end - 1, start - 1, step)
        return _spread(root, [current[at] for at in indexes], rest)

    @staticmethod
    def _edge(edge: Any, root: Any, current: Any) -> int | None:
        if edge is None:
            return None
        found = whole(edge.value(root, current) if isinstance(edge, Script) else edge)
        if found is None:
            raise _fail("range: invalid token argument. expected int")
        return found


def _clamped(edge: int | None, default: int, size: int) -> int:
    if edge is None:
        return default
    return max(0, min(size, edge + size if edge < 0 else edge))


class _Union(Step):
    def __init__(self, arguments: list[Any]) -> None:
        self._arguments = arguments

    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        wanted = [part.value(root, current) if isinstance(part, Script) else part for part in self._arguments]
        if all(isinstance(part, str) for part in wanted):
            if not isinstance(current, dict):
                raise _fail(f"union: invalid token target. expected [map] got {type(current).__name__}")
            return _spread(root, [current[key] for key in wanted if key in current], rest)
        indexes = [whole(part) for part in wanted]
        if None in indexes:
            raise _fail("union: invalid token argument. expected [int string]")
        if not isinstance(current, list):
            raise _fail(f"union: invalid token target. expected [array slice] got {type(current).__name__}")
        size = len(current)
        return _spread(root, [current[at] for at in indexes if at is not None and -size <= at < size], rest)


class _Filter(Step):
    def __init__(self, script: Script) -> None:
        self._script = script

    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        found = [item for item in _elements(current, "filter") if self._included(root, item)]
        if rest and isinstance(rest[0], _Index):
            return apply(rest, current, found)
        return _spread(root, found, rest)

    def _included(self, root: Any, item: Any) -> bool:
        try:
            value = self._script.value(root, item)
        except ExpressionError:
            return False
        if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        return bool(value)


class _Computed(Step):
    def __init__(self, script: Script) -> None:
        self._script = script

    def apply(self, root: Any, current: Any, rest: Sequence[Step]) -> Any:
        value = self._script.value(root, current)
        if isinstance(value, str):
            return _Key(value).apply(root, current, rest)
        index = whole(value)
        if index is None:
            raise _fail("unexpected expression result. expected [int string]")
        return _Index(index).apply(root, current, rest)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[Step, ...]:
    return tuple(_step(token.strip()) for token in _tokens(path))


def _tokens(path: str) -> list[str]:
    """`path` cut at dots and brackets that stand outside of quotes and scripts."""
    if path[:1] not in ("$", "@") or not path or path[1:2] not in ("", ".", "["):
        raise _fail(f"invalid JSONPath selector '{path}' unexpected token")
    found, part = [path[0]], ""
    quotes = opened = closed = brackets = ends = 0
    for char in path[1:]:
        if part == "":
            quotes = opened = closed = 0
        quotes, opened, closed = quotes + (char == "'"), opened + (char == "("), closed + (char == ")")
        brackets, ends = brackets + (char == "["), ends + (char == "]")
        part += char
        inside = quotes % 2 == 1 or opened != closed
        if part == "..":
            found.append(part)
            part = ""
        elif part == "." or (char == "[" and part in ("[", ".[")):
            continue
        elif char == "[" and part.count("[") == 1:
            found.append(part[:-1].removeprefix("."))
            part = "["
        elif "[" in part:
            if char == "]" and not inside and brackets == ends:
                found.append(part.removeprefix("."))
                part = ""
        elif char == "." and not inside:
            found.append(part[:-1].removeprefix("."))
            part = "."
    return [*found, part.removeprefix(".")] if part else found


def _step(token: str) -> Step:
    simple: dict[str, Callable[[], Step]] = {
        "$": lambda: _Start(root=True),
        "@": lambda: _Start(root=False),
        "*": _Wildcard,
        "..": _Recursive,
        "length": _Length,
    }
    if token in simple:
        return simple[token]()
    if not token:
        raise _fail("invalid token. token string is empty")
    if not token.startswith("["):
        return _Key(token)
    inside = token[1:-1].strip()
    if not token.endswith("]") or not inside:
        raise _fail(f"invalid token. '{token}' does not match any token format")
    if inside == "*":
        return _Wildcard()
    if inside.startswith("?"):
        if not (inside.startswith("?(") and inside.endswith(")")):
            raise _fail(f"invalid token. '{token}' does not match any token format")
        return _Filter(Script(inside[2:-1].strip(), select))
    return _subscript(_parts(inside, token), token)


def _is_script(part: Any) -> bool:
    return isinstance(part, str) and len(part) > 2 and part[0] == "(" and part[-1] == ")"  # noqa: PLR2004


def _is_key(part: Any) -> bool:
    return isinstance(part, str) and len(part) > 1 and part[0] == part[-1] and part[0] in "'\""


def _parts(inside: str, token: str) -> list[Any]:  # noqa: C901
    """The arguments and separators inside of brackets."""
    found: list[Any] = []
    buffer, depth, quote = "", 0, ""
    for at, char in enumerate(inside):
        buffer += char
        if char == " " and not quote and depth == 0:
            buffer = buffer.strip()
        elif char in "()" and not quote:
            depth += 1 if char == "(" else -1
            if char == ")" and depth == 0:
                if not _is_script(buffer):
                    raise _fail(f"invalid expression. invalid format '{buffer}'")
                found.append(buffer)
                buffer = ""
        elif char in "'\"" and depth == 0 and quote in ("", char):
            if len(buffer) > 1 and buffer[-2] == "\\":
                buffer = buffer[:-2] + char
                continue
            quote = "" if quote else char
            if quote and buffer != char:
                raise _fail(f"invalid token. '{token}' does not match any token format")
            if not quote:
                found.append(buffer)
                buffer = ""
        elif char in ":," and not quote and depth == 0:
            argument = buffer[:-1]
            if argument:
                found.append(_argument(argument, token, strict=char == ":"))
            elif char == ":" and at == 0:
                found.append(None)
            found.append(_MARKS[char])
            buffer = ""
    return [*found, _argument(buffer, token, strict=False)] if buffer else found


_MARKS = {":": object(), ",": object()}


def _argument(text: str, token: str, *, strict: bool) -> Any:
    if _INT.fullmatch(text):
        return int(text)
    if strict:
        raise _fail(f"invalid token. '{token}' does not match any token format")
    return text


def _subscript(parts: list[Any], token: str) -> Step:  # noqa: C901
    problem = _fail(f"invalid token. '{token}' does not match any token format")
    if len(parts) == 1:
        if _is_key(parts[0]):
            return _Key(parts[0][1:-1])
        if _is_script(parts[0]):
            return _Computed(Script(parts[0][1:-1], select))
        if isinstance(parts[0], int):
            return _Index(parts[0])
        raise problem
    colons, commas = (sum(part is _MARKS[mark] for part in parts) for mark in ":,")
    arguments: list[Any] = []
    for at, part in enumerate(parts):
        if part is _MARKS[":"] and at and parts[at - 1] is _MARKS[":"]:
            arguments.append(None)
        if part is not _MARKS[":"] and part is not _MARKS[","]:
            arguments.append(Script(part[1:-1], select) if _is_script(part) else part)
    if commas and not colons and commas < len(arguments):
        if not all(_is_key(part) or isinstance(part, (int, Script)) for part in arguments):
            raise problem
        return _Union([part[1:-1] if isinstance(part, str) else part for part in arguments])
    if colons in (1, 2) and not commas:
        if colons == 1 and len(arguments) == 1:
            arguments.append(None)
        if all(part is None or isinstance(part, (int, Script)) for part in arguments) and len(arguments) > 1:
            return _Range(arguments)
    raise problem
