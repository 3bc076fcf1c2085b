"""The functions of `sprig.*` that manifests use; arguments in sprig's order, the subject last."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

from tiphys.engine.gotext import go_json, go_value, parse_json


def _empty(value: Any) -> bool:
    return not value


def _default(fallback: Any, value: Any = None) -> Any:
    return fallback if _empty(value) else value


def _title(text: str) -> str:
    return re.sub(r"(^|\s)(\S)", lambda match: match[1] + match[2].upper(), text)


def _trunc(length: int, text: str) -> str:
    return text[length:] if length < 0 else text[:length]


def _to_int(value: Any) -> int:
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return 0


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _dict(*pairs: Any) -> dict[str, Any]:
    return {go_value(pairs[index]): pairs[index + 1] for index in range(0, len(pairs) - 1, 2)}


SPRIG: dict[str, Callable[..., Any]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": _title,
    "trim": str.strip,
    "trimAll": lambda characters, text: text.strip(characters),
    "trimPrefix": lambda prefix, text: text.removeprefix(prefix),
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
    "replace": lambda old, new, text: text.replace(old, new),
    "repeat": lambda count, text: text * int(count),
    "contains": lambda part, text: part in text,
    "hasPrefix": lambda prefix, text: text.startswith(prefix),
    "hasSuffix": lambda suffix, text: text.endswith(suffix),
    "quote": lambda *values: " ".join(go_json(go_value(value)) for value in values if value is not None),
    "squote": lambda *values: " ".join(f"'{go_value(value)}'" for value in values if value is not None),
    "cat": lambda *values: " ".join(go_value(value) for value in values if value is not None),
    "indent": lambda spaces, text: "\n".join(" " * int(spaces) + line for line in text.split("\n")),
    "nindent": lambda spaces, text: "\n" + "\n".join(" " * int(spaces) + line for line in text.split("\n")),
    "nospace": lambda text: re.sub(r"\s", "", text),
    "trunc": _trunc,
    "substr": lambda start, end, text: text[max(int(start), 0) : None if int(end) < 0 else int(end)],
    "splitList": lambda separator, text: text.split(separator),
    "join": lambda separator, values: separator.join(go_value(value) for value in values),
    "toString": go_value,
    "toJson": go_json,
    "fromJson": parse_json,
    "b64enc": lambda text: base64.b64encode(text.encode()).decode(),
    "b64dec": lambda text: base64.b64decode(text).decode(),
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "regexMatch": lambda pattern, text: re.search(pattern, text) is not None,
    "regexFind": lambda pattern, text: (re.findall(pattern, text) or [""])[0],
    "regexReplaceAll": lambda pattern, text, new: re.sub(pattern, re.sub(r"\$\{?(\d+)\}?", r"\\\1", new), text),
    "int": _to_int,
    "int64": _to_int,
    "float64": _to_float,
    "atoi": _to_int,
    "add": lambda *values: sum(_to_int(value) for value in values),
    "sub": lambda left, right: _to_int(left) - _to_int(right),
    "mul": lambda first, *rest: _product([first, *rest]),
    "div": lambda left, right: int(_to_int(left) / _to_int(right)),
    "mod": lambda left, right: _to_int(left) % _to_int(right),
    "max": lambda *values: max(_to_int(value) for value in values),
    "min": lambda *values: min(_to_int(value) for value in values),
    "default": _default,
    "empty": _empty,
    "coalesce": lambda *values: next((value for value in values if not _empty(value)), None),
    "ternary": lambda yes, no, test: yes if test else no,
    "list": lambda *values: list(values),
    "dict": _dict,
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "has": lambda value, values: value in values,
    "keys": sorted,
    "uniq": lambda values: list(dict.fromkeys(values)),
    "sortAlpha": sorted,
}


def _product(values: list[Any]) -> int:
    result = 1
    for value in values:
        result *= _to_int(value)
    return result
