"""The status quo's tables as ``fallback.npz``: what the gateway answers from when no model does. Knows no ONNX."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from components.export import interval
from tiphys.errors import DataError, SettingsError

if TYPE_CHECKING:
    from types import ModuleType

    from tiphys.usecase import Array, Examples, UseCase


def fallback(use_case: UseCase, history: Examples, latest: Examples) -> bytes | None:
    """Return the use case's tables with a band around their answers, or None where it has no ``fallback.py``.

    Args:
        use_case: whose status quo it is.
        history: rows that the tables are made of.
        latest: later rows, which the band is made from.

    Raises:
        DataError: its tables cannot be kept, or there are no rows.
    """
    part = _part(use_case)
    if part is None or not len(history):
        return None
    arrays = part.fit(history)
    names = list(latest.features)
    rows = zip(*(latest.features[name].tolist() for name in names), strict=True)
    answers = np.array([part.answer(arrays, dict(zip(names, row, strict=True))) for row in rows], np.float32)
    band = interval.fit(answers, latest.target)
    floor = np.array([band.floor], np.float32)
    return pack({**arrays, "_edges": band.edges, "_low": band.low, "_high": band.high, "_floor": floor})


def pack(arrays: dict[str, Array]) -> bytes:
    """Write arrays as ``npz``, not compressed (zlib's bytes differ between its releases): the same arrays give the same bytes.

    Raises:
        DataError: an array has values that only pickle could keep.
    """
    for name, each in arrays.items():
        if each.dtype.hasobject:
            message = f"fallback.py: array {name!r} holds Python objects; tables must be plain numbers"
            raise DataError(message)
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **{name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})
    return stream.getvalue()


def _part(use_case: UseCase) -> ModuleType | None:
    try:
        return use_case.part("fallback")
    except SettingsError:
        return None
