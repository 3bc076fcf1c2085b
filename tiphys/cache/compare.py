"""Which kept result is nearest to a step, and which parts differ, said for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.cache.program import Parts
    from tiphys.cache.store import Entry, Store

_INPUTS = "artifact inputs"
_MOST = 5


def nearest(store: Store, template: str, parts: Mapping[str, str]) -> Entry | None:
    """The kept result of that template with the fewest other parts; of several the latest."""
    found = store.entries(template)
    return min(found, key=lambda each: len(_other(each.parts, parts)), default=None)


def changed(store: Store, entry: Entry, parts: Parts) -> list[str]:
    """One line for each part that differs, the plainest first; parts that were made of many say which of them."""
    names = _other(entry.parts, parts.values)
    if any(name.startswith("parameter ") for name in names):
        names.discard(_INPUTS)  # the same parameters once more, as one file
    told = []
    for name in sorted(names):
        before, now = entry.parts.get(name), parts.values.get(name)
        inner = _inner(store.details(entry.details.get(name, "")), parts.details.get(name, {}))
        if inner:
            told.append(f"{name}: {inner}")
        elif before is None or now is None:
            told.append(f"{name} is {'new' if before is None else 'not there any more'}")
        else:
            told.append(f"{name} is {now}, was {before}")
    return told


def _other(before: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    return {name for name in {*before, *now} if before.get(name) != now.get(name)}


def _inner(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    if not before or not now:
        return ""
    words = []
    for name in sorted(_other(before, now)):
        what = "new" if name not in before else "gone" if name not in now else "changed"
        words.append(f"{name} {what}")
    more = f" and {len(words) - _MOST} more" if len(words) > _MOST else ""
    return ", ".join(words[:_MOST]) + more
