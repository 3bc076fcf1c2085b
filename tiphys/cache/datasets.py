"""Dataset versions as the catalog and the tables' own metadata have them, without PyIceberg: snapshots, files, marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tiphys.cache.refusal import GoneError

if TYPE_CHECKING:
    from tiphys.cache.references import World

Json = dict[str, Any]
_REJECTS = "_rejects"
_LAST_TRAINED = "last-trained"


def _parts_of(text: str) -> tuple[str, str, str]:
    name, _, tag = text.partition("@")
    namespace, _, table = name.partition(".")
    if not (namespace and table and tag):
        message = f"{text!r} is no dataset version"
        raise GoneError(message)
    return namespace, table, tag


def _snapshot(metadata: Json, text: str, tag: str) -> int:
    found = (metadata.get("refs") or {}).get(tag)
    if found is None:
        message = f"{text} does not exist: its table has no such tag"
        raise GoneError(message)
    return int(found["snapshot-id"])


def content(world: World, text: str) -> str:
    """The snapshots of the table and of its rejects: what a snapshot has never changes."""
    return ", ".join(_snapshots(world, text))


def _snapshots(world: World, text: str) -> list[str]:
    namespace, table, tag = _parts_of(text)
    found = []
    for name in (table, f"{table}{_REJECTS}"):
        try:
            metadata = world.table(namespace, name)
        except GoneError:
            if name == table:
                raise
            continue  # a table without rejects of its own
        found.append(f"snapshot {_snapshot(metadata, text, tag)} of {metadata['table-uuid']}")
    return found


def files(world: World, text: str) -> Json:
    """The snapshots, and every file that lay in the tables' folders: later versions add to them."""
    namespace, table, _ = _parts_of(text)
    found: dict[str, str] = {"": ", ".join(_snapshots(world, text))}
    for name in (table, f"{table}{_REJECTS}"):
        try:
            where = str(world.table(namespace, name)["location"]).replace("s3a://", "s3://", 1)
        except GoneError:
            continue
        kept = world.objects(f"{where.rstrip('/')}/")
        found |= {uri: what for uri, what in kept.items() if not uri.endswith(".metadata.json")}
    return found


def lost(text: str, before: Json, now: Json) -> str:
    """Which of the files is gone, or another; or the snapshots, if they are."""
    if before.get("") != now.get(""):
        return f"{text} is {now.get('')}, was {before.get('')}"
    gone = sorted(uri for uri in before if before[uri] != now.get(uri))
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    return f"{text}: {gone[0]} is {'another' if gone[0] in now else 'gone'}{more}" if gone else ""


def last_trained(world: World, text: str) -> str:
    """Which other version of the dataset's table was trained on last; this one itself counts as none."""
    namespace, table, tag = _parts_of(text)
    metadata = world.table(namespace, table)
    marked = (metadata.get("refs") or {}).get(_LAST_TRAINED)
    if marked is None or int(marked["snapshot-id"]) == _snapshot(metadata, text, tag):
        return "none other"
    return f"snapshot {marked['snapshot-id']}"


def is_last_trained(world: World, text: str) -> str:
    """The mark that training on this version leaves."""
    namespace, table, tag = _parts_of(text)
    metadata = world.table(namespace, table)
    marked = (metadata.get("refs") or {}).get(_LAST_TRAINED)
    return "this one" if marked and int(marked["snapshot-id"]) == _snapshot(metadata, text, tag) else "another one"
