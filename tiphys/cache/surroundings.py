"""What a step looks at beside its inputs, or leaves beside its outputs: what serves, who answers, on which machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiphys import closure
from tiphys.cache import datasets, digests, references
from tiphys.cache.program import Parts, distributions
from tiphys.cache.references import World
from tiphys.cache.refusal import NotCachedError
from tiphys.errors import TiphysError

_GATEWAY = "tiphys.serving.gateway.__main__"
_TRITON_CODE = "tiphys/serving/onnxruntime_backend"


@dataclass(frozen=True)
class Place:
    """Where the cache works: the project whose code runs, and the folder of the embedded servers."""

    project: Path
    home: Path


def look(kind: str, text: str, world: World, place: Place, parts: Parts) -> None:
    """Name what decides the outcome beside the inputs, as part `KIND`. Raises GoneError, NotCachedError."""
    if kind not in _LOOKS:
        message = f"nothing is known of what it looks at: {kind!r}: this tiphys is older than the manifest"
        raise NotCachedError(message)
    try:
        _LOOKS[kind](text, world, place, parts)
    except TiphysError as problem:
        message = f"{kind} can't be looked at: {problem}"
        raise NotCachedError(message) from None


def left(kind: str, text: str, world: World) -> str:
    """What a step has left behind, in a line. Raises GoneError, NotCachedError."""
    known: dict[str, Callable[[World, str], str]] = {
        "last-trained": datasets.is_last_trained,
        "version-tags": references.version_tags,
        "load-test-evidence": _load_test_evidence,
    }
    if kind not in known:
        message = f"nothing is known of what it leaves: {kind!r}: this tiphys is older than the manifest"
        raise NotCachedError(message)
    try:
        return known[kind](world, text)
    except TiphysError as problem:
        return str(problem)


def _last_trained(text: str, world: World, _place: Place, parts: Parts) -> None:
    parts.put("last-trained", datasets.last_trained(world, text))


def _staging(text: str, world: World, _place: Place, parts: Parts) -> None:
    """What the ledger wants staging to serve of a use case, and what its agent says that it does.

    Not the generation: whoever releases the very same image again makes another one, and nothing else that serves.
    """
    found = world.ledger.current("staging")
    release = found.releases.get(text)
    observed = None if release is None else found.observed.get(release.model)
    if release is None or observed is None or observed.state != "serving" or observed.generation != release.generation:
        message = f"staging does not serve what it should of {text}"
        raise NotCachedError(message)
    serving: dict[str, Any] = {
        "version": release.model_version,
        "image": release.image,
        "repository": f"{release.repository} {release.manifest_sha256}",
        "served version": observed.version,
        "served image": observed.image,
    }
    parts.put_many("staging", serving)


def _load_test_evidence(world: World, manifest_sha256: str) -> str:
    """The newest evidence of a load test: without it there is no promotion, so it has to be there, and be the same."""
    found = world.ledger.evidence(manifest_sha256=manifest_sha256, kind="load-test", limit=1) if manifest_sha256 else []
    return f"evidence {found[0].number}, {'held' if found[0].held else 'did not hold'}" if found else "no evidence"


def _triton(_text: str, _world: World, place: Place, parts: Parts) -> None:
    """Triton's own environment, our backend in it, and the very process."""
    distributions(parts, "triton", place.project / ".venv-triton", (), place.project)
    parts.put("triton process", f"{_process(place, 'triton-staging')} {digests.of_tree(place.project / _TRITON_CODE)}")


def _gateway(text: str, _world: World, place: Place, parts: Parts) -> None:
    """The gateway's code with the use case in it, and the very process that runs it."""
    package = text if "." in text else f"usecases.{text}"
    try:
        found = closure.closure([_GATEWAY], place.project, [package])
    except (ModuleNotFoundError, SyntaxError, OSError) as error:
        message = f"the gateway's code can't be read: {error}"
        raise NotCachedError(message) from None
    parts.put_many("gateway", found.files)
    parts.put("gateway process", _process(place, "gateway"))


def _process(place: Place, server: str) -> str:
    """When a server began: code that was changed since is not what it runs."""
    from tiphys.stack.layout import Layout  # noqa: PLC0415 - only who measures a server asks
    from tiphys.stack.state import read  # noqa: PLC0415

    told = read(Layout(place.home).run / "state.json")
    found = told.servers.get(server) if told else None
    if found is None or found.state != "ready":
        message = f"the server {server} is none of this machine's, or not ready"
        raise NotCachedError(message)
    return f"since {found.since:.3f}, restarted {found.restarts} times"


def _machine(_text: str, _world: World, _place: Place, parts: Parts) -> None:
    """Figures of one machine say nothing of another."""
    with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    parts.put("machine", f"{platform.node()}, {os.cpu_count()} x {model}, {pages >> 20} MiB")


_LOOKS: dict[str, Callable[[str, World, Place, Parts], None]] = {
    "last-trained": _last_trained,
    "staging": _staging,
    "triton": _triton,
    "gateway": _gateway,
    "machine": _machine,
}
