"""Every field of a manifest with what becomes of it here: honoured, advisory or refused, by the tables of `fields.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tiphys.engine.fields import (
    _ADVISORY,
    _DOCUMENTS,
    _HONOURED,
    IN_CONTAINERS,
    _Each,
    _Named,
    _Refused,
    _Steps,
)
from tiphys.engine.objects import KINDS

Json = dict[str, Any]
Path = tuple[str | int, ...]
HONOURED, ADVISORY, REFUSED = "honoured", "advisory", "refused"


@dataclass(frozen=True)
class Field:
    """One field: its path, with names in the place of indices where elements have them."""

    path: str
    verdict: str
    reason: str
    keys: Path = ()

    def to_json(self) -> Json:
        """A JSON object."""
        return {key: value for key, value in asdict(self).items() if key != "keys"}

    @property
    def kind(self) -> str:
        """The path without names and indices, which is the same for all fields of the sort."""
        return ".".join("[]" if isinstance(key, int) else key for key in self.keys).replace(".[]", "[]")


def survey(document: Json) -> list[Field]:
    """Every field of a document, in its order; what is below a refused or advisory field goes with it."""
    kind = str(document.get("kind"))
    if kind in _DOCUMENTS:
        return list(_walk(document, _DOCUMENTS[kind], "", ()))
    if kind in KINDS:
        return [Field(str(key), HONOURED, "", (str(key),)) for key in document]
    return [Field("kind", REFUSED, f"{kind} is no object that is kept or run here", ("kind",))]


def _walk(value: Any, table: Any, path: str, keys: Path) -> Iterator[Field]:
    if isinstance(table, (_Each, _Steps)) and isinstance(value, list):
        inner = _Each(table) if isinstance(table, _Steps) else table[0]
        for index, each in enumerate(value):
            label = each.get("name") if isinstance(each, dict) else None
            yield from _walk(each, inner, f"{path}.{label}" if label else f"{path}[{index}]", (*keys, index))
    elif isinstance(table, _Named) and isinstance(value, dict):
        for key, each in value.items():
            yield from _walk(each, table[0], f"{path}.{key}", (*keys, key))
    elif isinstance(table, dict) and isinstance(value, dict):
        for key, each in value.items():
            yield from _field(key, each, table, f"{path}.{key}".lstrip("."), (*keys, key))
    elif value is not None:
        yield Field(path, REFUSED, f"has a wrong shape: {type(value).__name__}", keys)


def _field(key: str, value: Any, table: Json, path: str, keys: Path) -> Iterator[Field]:
    verdict = table.get(key)
    if verdict is None:
        yield Field(path, REFUSED, "no field that Argo has", keys)
    elif isinstance(verdict, _Refused):
        yield Field(path, REFUSED, str(verdict), keys)
    elif verdict is _ADVISORY:
        where = "in containers (--containers)" if key in IN_CONTAINERS else "on a cluster"
        yield Field(path, ADVISORY, f"counts {where} only", keys)
    elif verdict is _HONOURED:
        yield Field(path, HONOURED, "", keys)
    elif isinstance(value, (dict, list)) and value:
        yield from _walk(value, verdict, path, keys)
    else:
        yield Field(path, HONOURED, "", keys)
