"""Rows of numbers as the V2 inference protocol over HTTP wants them, with its binary tensor extension, and back again.

A request is a JSON header, which is the same for the same number of rows and so made once, followed by one little-endian
array an input. It knows one version of one model and no socket.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from tiphys.serving.gateway.upstream import Answer, head
from tiphys.serving.repository import TRITON_TYPES

Code = Literal["not_finite", "wrong_shape", "error", "late", "gone"]
"""What is wrong with an arm's answer; ``gone``: that version is not loaded (any more)."""
Cells = tuple[bytes, ...]
"""One row: the bytes of each input."""
Reading = tuple[float, float | None, float | None]
"""What the model says of one row: value, and the interval's ends where the model has one."""

_PACKING = {"int64": "<q", "float32": "<f"}
_HEADER_LENGTH = b"inference-header-content-length"
_OK = 200
_MOST_LAYOUTS = 256


class Failed:
    """Why a row has no reading."""

    __slots__ = ("code", "message")

    def __init__(self, code: Code, message: str) -> None:
        """Keep it."""
        self.code = code
        self.message = message


class _MisshapenError(Exception):
    """An answer of another form than was asked for."""


class Tensors:
    """One version of one model: its requests and answers."""

    def __init__(
        self, address: str, model: str, version: str, inputs: Sequence[tuple[str, str]], outputs: Sequence[str]
    ) -> None:
        """Prepare.

        Args:
            address: the server's HOST:PORT.
            model: its name in Triton.
            version: the one that is asked, always by its number.
            inputs: name and type (``int64`` or ``float32``) of each.
            outputs: float32 each: the value, then, if there are three, the interval's lower and upper end.
        """
        self._address = address
        self._path = f"/v2/models/{model}/versions/{version}/infer"
        self.version = version
        self._inputs = inputs
        self._outputs = outputs
        self._packs: list[tuple[str, Callable[[int | float], bytes]]] = [
            (name, struct.Struct(_PACKING[dtype]).pack) for name, dtype in inputs
        ]
        self._floats = [name for name, dtype in inputs if dtype == "float32"]
        self._heads: dict[int, bytes] = {}
        self._layouts: dict[bytes, list[tuple[int, int]]] = {}
        """An answer's JSON header -> where each output's bytes begin and end behind it."""

    def pack(self, row: Mapping[str, int | float]) -> Cells:
        """Turn one row into bytes.

        Raises:
            ValueError: a value is missing, no number, not finite, or too large for its type; the message names it.
        """
        try:
            cells = tuple([pack(row[name]) for name, pack in self._packs])
        except (struct.error, OverflowError, KeyError):
            raise ValueError(self._unfit(row)) from None
        for name in self._floats:
            if not math.isfinite(row[name]):
                message = f"{name}: is not a finite number"
                raise ValueError(message)
        return cells

    def _unfit(self, row: Mapping[str, int | float]) -> str:
        for name, pack in self._packs:
            try:
                pack(row[name])
            except (struct.error, OverflowError, KeyError) as error:
                return f"{name}: is no number that the model takes ({error})"
        return "the row does not fit the model"

    def request(self, rows: Sequence[Cells]) -> bytes:
        """Return the whole HTTP request that asks for these rows, at least one."""
        count = len(rows)
        begin = self._heads.get(count)
        if begin is None:
            begin = self._heads[count] = self._head(count)
        if count == 1:
            return begin + b"".join(rows[0])
        return begin + b"".join([b"".join(column) for column in zip(*rows, strict=True)])

    def _head(self, count: int) -> bytes:
        sizes = [struct.calcsize(_PACKING[dtype]) * count for _, dtype in self._inputs]
        header = json.dumps(
            {
                "inputs": [
                    {
                        "name": name,
                        "shape": [count, 1],
                        "datatype": TRITON_TYPES[dtype],
                        "parameters": {"binary_data_size": size},
                    }
                    for (name, dtype), size in zip(self._inputs, sizes, strict=True)
                ],
                "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in self._outputs],
            }
        ).encode()
        fields: dict[str, str | int] = {
            "content-type": "application/octet-stream",
            "inference-header-content-length": len(header),
            "content-length": len(header) + sum(sizes),
        }
        return head("POST", self._path, self._address, fields) + header

    def read(self, answer: Answer, count: int) -> list[Reading | Failed] | Failed:
        """Return a reading or a failure for each of ``count`` rows, or one failure of all of them."""
        if answer.status != _OK:
            return _refused(answer)
        try:
            columns = self._columns(answer, count)
        except (_MisshapenError, ValueError, KeyError, TypeError, AttributeError) as error:
            return Failed("wrong_shape", f"version {self.version} answered in another form than asked: {error}")
        if len(columns) == 1:
            return [self._reading(value, None, None) for value in columns[0]]
        return [self._reading(*each) for each in zip(*columns, strict=True)]

    def _reading(self, value: float, low: float | None, high: float | None) -> Reading | Failed:
        total = value if low is None or high is None else value + low + high
        if math.isfinite(total) or (math.isfinite(value) and math.isfinite(low or 0.0) and math.isfinite(high or 0.0)):
            return value, low, high
        return Failed("not_finite", f"version {self.version} answered with no finite number")

    def _columns(self, answer: Answer, count: int) -> list[array[float]]:
        length = int(answer.headers[_HEADER_LENGTH])
        header, body = answer.body[:length], answer.body[length:]
        layout = self._layouts.get(header)
        if layout is None:
            if len(self._layouts) >= _MOST_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[header] = self._layout(header)
        columns = []
        for begin, end in layout:
            column = array("f", body[begin:end])
            if len(column) != count:
                message = f"{len(column)} rows instead of {count}"
                raise _MisshapenError(message)
            if sys.byteorder == "big":
                column.byteswap()
            columns.append(column)
        return columns

    def _layout(self, header: bytes) -> list[tuple[int, int]]:
        said = json.loads(header)
        if str(said["model_version"]) != self.version:
            message = f"it is of version {said['model_version']}"
            raise _MisshapenError(message)
        places, at = {}, 0
        for each in said["outputs"]:
            size = int(each["parameters"]["binary_data_size"])
            rows = math.prod(each["shape"])
            if each["datatype"] != "FP32" or each["shape"][1:] not in ([], [1]) or size != 4 * rows:
                message = f"{each['name']} is {each['datatype']} of shape {each['shape']}"
                raise _MisshapenError(message)
            places[each["name"]] = (at, at + size)
            at += size
        missing = [name for name in self._outputs if name not in places]
        if missing:
            message = f"{', '.join(missing)} missing"
            raise _MisshapenError(message)
        return [places[name] for name in self._outputs]


def _refused(answer: Answer) -> Failed:
    text = answer.body[:500].decode("utf-8", "replace")
    lost = "unknown model" in text or "is not found" in text or "is not ready" in text
    return Failed("gone" if lost else "error", f"the model server answers {answer.status}: {text}")
