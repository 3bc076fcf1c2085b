"""How Go writes values as text: JSON as encoding/json does, and the %v form of fmt.

Argo inserts both into manifests, so they are visible in parameters and node names.
"""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any, Self

_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_HTML_RE = re.compile("[<>&\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_WHOLE = 1000  # digits, zeros in front included
_EXPONENT = re.compile(r"e([+-])0*(\d)")


class AnyKeys(dict[Any, Any]):
    """A map whose keys may be anything, as groupBy and fromPairs make it: Go can't write it as JSON."""

    def __init__(self, go_type: str = "map[interface {}]interface {}") -> None:
        """Empty; `go_type` is groupBy's `map[interface {}][]interface {}` or fromPairs' own."""
        super().__init__()
        self.go_type = go_type

    @staticmethod
    def wrapped(key: Any) -> tuple[type, Any]:
        """The form in which `key` is stored: 1, 1.0 and true are three keys. Raises TypeError for lists and maps."""
        if isinstance(key, (list, dict)):
            msg = "runtime error: hash of unhashable type"
            raise TypeError(msg)
        return type(key), key

    def missing(self) -> Any:
        """What a missing key gives."""
        from tiphys.engine.expressions.values import NilItems  # noqa: PLC0415

        return NilItems() if self.go_type.endswith("[]interface {}") else None


def go_float(value: float, *, large: int = 21, small: int = -6) -> str:
    """`value` as Go writes a float64: shortest digits; an exponent at 1e`large` and above, or below 1e`small`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    size = abs(value)
    if size >= float(f"1e{large}") or size < float(f"1e{small}"):
        return _exponent_form(value)
    text = repr(value)
    if "e" in text:
        from decimal import Decimal  # noqa: PLC0415

        text = format(Decimal(text), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _exponent_form(value: float) -> str:
    digits = repr(value)
    if "e" not in digits:
        digits = f"{value:.17e}"
        for precision in range(18):
            digits = f"{value:.{precision}e}"
            if float(digits) == value:
                break
    return _EXPONENT.sub(lambda match: f"e{match[1]}{match[2]}", digits)


def go_json(value: Any) -> str:  # noqa: C901, PLR0911
    """`value` as Go's json.Marshal: compact, keys sorted, `<`, `>` and `&` escaped, floats in Go's shortest form.

    Raises TypeError for what has no JSON form.
    """
    if isinstance(value, str):
        return go_json_string(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, RawNumber):
        return value.text
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = f"json: unsupported value: {go_float(value)}"
            raise TypeError(msg)
        return go_float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, AnyKeys):
        msg = f"json: unsupported type: {value.go_type}"
        raise TypeError(msg)
    if getattr(value, "nil", False):
        return "null"
    if isinstance(value, dict):
        pairs = (f"{go_json_string(str(key))}:{go_json(value[key])}" for key in sorted(value, key=str))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(go_json(item) for item in value) + "]"
    return _special_json(value)


def _special_json(value: Any) -> str:
    """Values that only expressions make: bytes, durations, times, months."""
    if isinstance(value, bytes):
        return f'"{base64.b64encode(value).decode()}"'
    if hasattr(value, "json"):
        return go_json_string(value.json())
    for name in ("ns", "number"):
        if hasattr(value, name):
            return str(getattr(value, name))
    if getattr(value, "go_type", "") == "*time.Location":
        return "{}"
    msg = f"{type(value).__name__} has no JSON form"
    raise TypeError(msg)


_PARAMETER_FIELDS = ("name", "default", "value", "valueFrom", "globalName", "enum", "description")


def parameters_json(parameters: list[dict[str, Any]]) -> str:
    """Parameters as Go writes them: the fields in the order of its struct."""
    entries = [
        ",".join(f'"{field}":{go_json(entry[field])}' for field in _PARAMETER_FIELDS if entry.get(field) is not None)
        for entry in parameters
    ]
    return "[" + ",".join("{" + entry + "}" for entry in entries) + "]"


def go_json_string(text: str) -> str:
    """`text` as a JSON string, escaped as Go does; half a character becomes U+FFFD."""
    quoted = json.dumps(text, ensure_ascii=False)
    if not quoted.isascii():
        quoted = _SURROGATE.sub("\\\\ufffd", quoted)
    return _HTML_RE.sub(lambda match: _HTML[match[0]], quoted)


_GO_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def go_quote(text: str) -> str:
    """`text` in the %q form of Go's fmt."""
    return '"' + "".join(_GO_ESCAPES.get(char) or (char if char.isprintable() else _coded(char)) for char in text) + '"'


def _coded(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:  # noqa: PLR2004
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004


def go_value(value: Any) -> str:  # noqa: PLR0911
    """`value` in the %v form of Go's fmt."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _go_value_float(value)
    if isinstance(value, AnyKeys):
        pairs = sorted((go_value(key), go_value(inner)) for (_, key), inner in value.items())
        return "map[" + " ".join(f"{key}:{inner}" for key, inner in pairs) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_value(value[key])}" for key in sorted(value, key=str)) + "]"
    if isinstance(value, (list, tuple, bytes)):
        return "[" + " ".join(go_value(item) for item in value) + "]"
    return str(value)


def _go_value_float(value: float) -> str:
    text = go_float(value, large=6, small=-4)
    return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", text)


_WHOLE = re.compile(r"[-+]?[0-9]+", re.ASCII)


def go_int(text: str) -> int:
    """The whole number that strconv.Atoi reads: no blanks, no underscores, 64 bits. Raises ValueError in Go's words."""
    if not _WHOLE.fullmatch(text):
        msg = f"strconv.Atoi: parsing {go_quote(text)}: invalid syntax"
        raise ValueError(msg)
    number = int(text) if len(text) < _LONGEST_WHOLE else 1 << 64
    if not -(1 << 63) <= number < 1 << 63:
        msg = f"strconv.Atoi: parsing {go_quote(text)}: value out of range"
        raise ValueError(msg)
    return number


class RawNumber(float):
    """A number that remembers how it was written: Argo keeps the items of a withParam as raw JSON."""

    def __new__(cls, text: str) -> Self:
        """The number that `text` says."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


def parse_json(text: str) -> Any:
    """`text` as Go's json.Unmarshal into any sees it: every number a float64. Raises ValueError in Go's words."""
    return _loads(text, float)


def parse_json_raw(text: str) -> Any:
    """As `parse_json`, but numbers keep the form in which they were written."""
    return _loads(text, RawNumber)


def _loads(text: str, number: Any) -> Any:
    def finite(digits: str) -> Any:
        value = number(digits)
        if math.isinf(value):
            msg = f"json: cannot unmarshal number {digits} into Go value of type float64"
            raise ValueError(msg)
        return value

    try:
        found = json.loads(text, parse_int=finite, parse_float=finite, parse_constant=_refuse_constant)
        return _whole(found) if "\\ud" in text.lower() else found
    except json.JSONDecodeError as error:
        raise ValueError(_go_json_error(text, error)) from None


def _whole(value: Any) -> Any:
    """`value` with U+FFFD for every half of a character."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return {_whole(key): _whole(item) for key, item in value.items()} if isinstance(value, dict) else value


def _refuse_constant(name: str) -> Any:
    msg = f"invalid character '{name[0]}' looking for beginning of value"
    raise ValueError(msg)


def _go_json_error(text: str, error: json.JSONDecodeError) -> str:
    rest = text[error.pos :].lstrip()
    if not rest:
        return "unexpected end of JSON input"
    for literal in ("null", "true", "false"):
        if rest[0] == literal[0] and error.msg == "Expecting value":
            wrong = next(index for index in range(len(literal)) if rest[index : index + 1] != literal[index])
            return f"invalid character '{rest[wrong : wrong + 1]}' in literal {literal} (expecting '{literal[wrong]}')"
    if error.msg == "Expecting value":
        return f"invalid character '{rest[0]}' looking for beginning of value"
    if error.msg == "Extra data":
        return f"invalid character '{rest[0]}' after top-level value"
    return f"invalid character '{rest[0]}': {error.msg}"
