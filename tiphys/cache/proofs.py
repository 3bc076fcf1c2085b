"""What is kept of a result so that it can be proven later, and what is found wrong with it then."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cache import digests, surroundings
from tiphys.cache.key import Key, named, stored
from tiphys.cache.refusal import GoneError, NotCachedError

if TYPE_CHECKING:
    from tiphys.cache.store import Entry
    from tiphys.engine.artifacts import ArtifactStore
    from tiphys.engine.cache import Asked

Json = dict[str, Any]


def declared_only(template: Json, outputs: Json) -> Json:
    """A step's outputs without what was added to them, such as its logs."""
    names = {each["name"] for each in (template.get("outputs") or {}).get("artifacts") or []}
    kept = [each for each in outputs.get("artifacts") or [] if each["name"] in names]
    rest = {name: value for name, value in outputs.items() if name != "artifacts"}
    return {**rest, "artifacts": kept} if kept else rest


def prove(key: Key, outputs: Json, asked: Asked) -> Json:
    """What the outputs name now. Raises NotCachedError if something of it is not there."""
    values = dict(named(outputs))
    try:
        return {
            "outputs": {
                name: key.world.proof(kind, values[name])
                for name, kind in key.evidence.outputs.items()
                if name in values
            },
            "leaves": {
                kind: surroundings.left(kind, values.get(name, key.parameters.get(name, "")), key.world)
                for kind, name in key.evidence.leaves.items()
            },
            "artifacts": {each["name"]: stored(asked.store, _place(each)) for each in outputs.get("artifacts") or []},
            "prefix": prefix_of(asked),
        }
    except GoneError as gone:
        message = f"it names what is not there: {gone}"
        raise NotCachedError(message) from None


def complaint(key: Key, entry: Entry) -> str:
    """What is no longer as it was when the result was kept, of all but the artifacts; empty if nothing is."""
    values = dict(named(entry.outputs))
    for name, kind in key.evidence.outputs.items():
        if name in values and (found := key.world.complaint(kind, values[name], entry.proofs["outputs"].get(name))):
            return f"its output {name} does not hold any more: {found}"
    for kind, name in key.evidence.leaves.items():
        try:
            found = surroundings.left(kind, values.get(name, key.parameters.get(name, "")), key.world)
        except GoneError as gone:
            found = str(gone)
        if found != entry.proofs["leaves"].get(kind):
            return f"what it left, {kind}, is {found}, was {entry.proofs['leaves'].get(kind)}"
    return ""


def used_again(key: Key, entry: Entry, asked: Asked) -> tuple[Json, str]:
    """The outputs for another run, artifacts copied to where its own would lie; or what is wrong with them."""
    outputs: Json = {**entry.outputs}
    if outputs.get("parameters"):
        outputs["parameters"] = [
            {**each, "value": key.evidence.told[each["name"]]} if each["name"] in key.evidence.told else each
            for each in outputs["parameters"]
        ]
    copied = []
    for each in outputs.get("artifacts") or []:
        place = _place(each).replace(entry.proofs["prefix"], prefix_of(asked), 1)
        if not _copied(asked.store, _place(each), place, entry.proofs["artifacts"].get(each["name"])):
            return {}, f"its artifact {each['name']} is gone, or another: {_place(each)}"
        copied.append({**each, "s3": {**each["s3"], "key": place}})
    return ({**outputs, "artifacts": copied} if copied else outputs), ""


def differences(entry: Entry, outputs: Json, artifacts: dict[str, str], key: Key) -> list[str]:
    """Where a step that ran again gave something else; measurements and what it tells of its own run do not count."""
    free = {*key.evidence.measured, *key.evidence.told}
    before, now = dict(named(entry.outputs)), dict(named(outputs))
    found = [
        f"output {name} is {digests.shown(now.get(name, 'missing'))}, was {digests.shown(before.get(name, 'missing'))}"
        for name in sorted({*before, *now} - free)
        if before.get(name) != now.get(name)
    ]
    kept = entry.proofs["artifacts"]
    found += [
        f"artifact {name} has other bytes"
        for name in sorted({*kept, *artifacts} - free)
        if kept.get(name) != artifacts.get(name)
    ]
    if entry.outputs.get("result") != outputs.get("result"):
        found.append("its result, what it wrote to stdout, is another")
    return found


def prefix_of(asked: Asked) -> str:
    """Where a step's own artifacts lie in the engine's store."""
    return f"{asked.run}/{asked.start.pod_name}/"


def _place(artifact: Json) -> str:
    return str((artifact.get("s3") or {}).get("key") or "")


def _copied(store: ArtifactStore, source: str, target: str, digest: str | None) -> bool:
    with tempfile.TemporaryDirectory(prefix="tiphys-cache-") as scratch:
        content = Path(scratch) / "content"
        if not digest or not store.get(source, content) or digests.of_tree(content) != digest:
            return False
        if source != target:
            store.put(content, target)
        return True
