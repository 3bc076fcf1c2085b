"""Where a manifest goes: the namespace, the images' registry and their tag. Nothing else may differ between two places.

`settle` is the one function that writes these into rendered documents; what submits or installs them calls it. It knows
neither Hera nor a server, and leaves images alone that are not ours.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tiphys.errors import PermanentError

Json = dict[str, Any]
IMAGE_PREFIX = "tiphys"
"""Images of ours are `tiphys/STEP:VERSION`; a registry is put before that."""

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_REGISTRY = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_CLUSTER_WIDE = ("ClusterWorkflowTemplate",)


def settle(documents: Iterable[Json], *, registry: str = "", tag: str = "", namespace: str = "") -> list[Json]:
    """Return copies of the documents for one place; what is empty stays as it was rendered.

    Raises:
        PermanentError: a registry, tag or namespace that no image or cluster can have.
    """
    check_images(registry, tag)
    _check("namespace", namespace, _NAMESPACE, "a-z, 0-9 and '-', at most 63")
    settled = [copy.deepcopy(each) for each in documents]
    for document in settled:
        for container in with_images(document.get("spec")):
            container["image"] = _image(container["image"], registry, tag)
        if namespace and document.get("kind") not in _CLUSTER_WIDE:
            document.setdefault("metadata", {})["namespace"] = namespace
    return settled


def check_images(registry: str, tag: str) -> None:
    """Raise PermanentError for a registry or a tag that no image can have; what is empty is fine."""
    _check("registry", registry, _REGISTRY, "HOST, HOST:PORT or HOST/FOLDER, without https://")
    if registry and not re.match(r"localhost(/|$)|[^/]*[.:]", registry):
        message = (
            f"registry {registry!r} is none: every program takes a first word without a dot for a folder of docker.io"
        )
        raise PermanentError(message)
    _check("tag", tag, _TAG, "letters, digits, '_', '.' and '-', at most 128")


def _image(name: str, registry: str, tag: str) -> str:
    if not name.startswith(f"{IMAGE_PREFIX}/"):
        return name
    path, _, version = name.partition(":")
    return f"{registry}/{path}:{tag or version}" if registry else f"{path}:{tag or version}"


def with_images(value: Any) -> Iterator[Json]:
    """Every object below that names an image."""
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value
        for inner in value.values():
            yield from with_images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from with_images(inner)


def _check(what: str, text: str, form: re.Pattern[str], said: str) -> None:
    if text and not form.fullmatch(text):
        message = f"{what} {text!r} is none: write {said}"
        raise PermanentError(message)
