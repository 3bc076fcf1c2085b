"""`fields=...`: which parts of an object are sent; with a minus before it, which are not. By Argo's rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_LONGEST = 16_384
Path = tuple[str, ...]


@dataclass(frozen=True)
class Fields:
    """A choice of fields by their dotted paths; lists are passed through."""

    names: frozenset[str] = frozenset()
    excluded: bool = False

    @classmethod
    def parse(cls, text: str, prefix: str = "") -> Fields:
        """The choice that a query names; `prefix` is what stands before each name and is not a part of the object."""
        excluded = text.startswith("-")
        names = frozenset(name.removeprefix(prefix) for name in text[:_LONGEST].removeprefix("-").split(",") if name)
        return cls(names, excluded)

    def clean(self, item: Any, *above: str) -> Any:
        """A copy of `item`, which lies at the path `above`, with only what was chosen."""
        if not self.names:
            return item
        if isinstance(item, list):
            return [self.clean(each, *above) for each in item]
        if not isinstance(item, dict):
            return item
        kept = {}
        for key, value in item.items():
            path = ".".join((*above, key))
            chosen = path in self.names
            if self.excluded and not chosen:
                kept[key] = self.clean(value, *above, key)
            elif not self.excluded and chosen:
                kept[key] = value
            elif not self.excluded and any(name.startswith(path) for name in self.names):
                kept[key] = self.clean(value, *above, key)
        return kept
