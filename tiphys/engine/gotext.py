"""How Go writes values as text: JSON as encoding/json does, and the %v form of fmt.

Argo inserts both into manifests, so they are visible in parameters and node names.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_HTML_RE = re.compile("[<>&\u2028\u2029]")
_EXPONENT = re.compile(r"e([+-])0*(\d)")


def go_float(value: float, *, large: int = 21, small: int = -6) -> str:
    """`value` as Go writes a float64: shortest digits; an exponent at 1e`large` and above, or below 1e`small`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    size = abs(value)
    if size >= 10.0**large or size < 10.0**small:
        return _exponent_form(value)
    text = repr(value)
    if "e" in text:
        text = format(value, "f") if size >= 1 else _plain_small(value)
    return text.removesuffix(".0") if "." not in text or text.endswith(".0") else text.rstrip("0").rstrip(".")


def _exponent_form(value: float) -> str:
    digits = repr(value)
    if "e" not in digits:
        digits = f"{value:.17e}"
        for precision in range(18):
            digits = f"{value:.{precision}e}"
            if float(digits) == value:
                break
    return _EXPONENT.sub(lambda match: f"e{match[1]}{match[2]}", digits)


def _plain_small(value: float) -> str:
    for precision in range(1, 40):
        text = f"{value:.{precision}f}"
        if float(text) == value:
            return text
    return format(value, "f")


def go_json(value: Any) -> str:
    """`value` as Go's json.Marshal: compact, keys sorted, `<`, `>` and `&` escaped, floats in Go's shortest form."""
    if isinstance(value, str):
        return go_json_string(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        pairs = (f"{go_json_string(str(key))}:{go_json(value[key])}" for key in sorted(value, key=str))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(go_json(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} has no JSON form")


def go_json_string(text: str) -> str:
    """`text` as a JSON string, escaped as Go does."""
    quoted = json.dumps(text, ensure_ascii=False)
    return _HTML_RE.sub(lambda match: _HTML[match[0]], quoted)


def go_value(value: Any) -> str:
    """`value` in the %v form of Go's fmt."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _go_value_float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_value(value[key])}" for key in sorted(value, key=str)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(go_value(item) for item in value) + "]"
    return str(value)


def _go_value_float(value: float) -> str:
    text = go_float(value, small=-4)
    return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", text)


def parse_json(text: str) -> Any:
    """`text` as Go's json.Unmarshal into any sees it: every number a float64."""
    return json.loads(text, parse_int=float, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")
