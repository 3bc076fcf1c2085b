"""Names in paths and objects: what can't be a Kubernetes name is refused before anything is looked up by it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tiphys.engine.engine import random_name
from tiphys.engine.server.lookup import LATEST
from tiphys.engine.server.refusals import invalid

Json = dict[str, Any]
API_VERSION = "argoproj.io/v1alpha1"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_UID = re.compile(r"[A-Za-z0-9-]{1,64}")
_SHOWN = 80
_TYPES: dict[str, type] = {
    **dict.fromkeys(("name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp"), str),
    **dict.fromkeys(("labels", "annotations"), dict),
    "generation": int,
}


def check_path(path: Mapping[str, str]) -> None:
    """Raises Refusal for a namespace, name or uid that can't be one, and for NUL, `..` and slashes in any part."""
    for key, value in path.items():
        if "\0" in value or ("/" in value and key != "file") or value in (".", ".."):
            raise invalid(f"{key} {value[:_SHOWN]!r}: it has a character that no name has")
    check_namespace(path.get("namespace", ""))
    name = path.get("name")
    if name is not None and name != LATEST:
        check_name(name)
    if "uid" in path and not _UID.fullmatch(path["uid"]):
        raise invalid(f"uid {path['uid'][:_SHOWN]!r}: it has letters, digits and '-'")


def check_namespace(namespace: str) -> None:
    """Raises Refusal for what can't be a namespace; the empty one stands for all."""
    if namespace and not _LABEL.fullmatch(namespace):
        raise invalid(f"namespace {namespace[:_SHOWN]!r}: write lower case letters, digits and '-', 63 at most")


def check_name(name: str) -> None:
    """Raises Refusal for what can't be an object's name."""
    if not _SUBDOMAIN.fullmatch(name) or ".." in name:
        raise invalid(f"name {name[:_SHOWN]!r}: write lower case letters, digits, '-' and '.', 253 at most")


def placed(kind: str, document: Json, namespace: str) -> Json:
    """An object that a client sent, as a manifest in that namespace, without a status. Raises Refusal."""
    metadata = document.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise invalid("metadata: an object is needed here")
    if not isinstance(document.get("spec"), dict):
        raise invalid(f"{kind}.spec: an object is needed here")
    own = metadata.get("namespace")
    if namespace and own not in (None, "", namespace):
        raise invalid(
            f"the namespace of the provided object does not match the namespace sent on the request: {str(own)[:_SHOWN]!r}"
        )
    if namespace or own:
        metadata = {**metadata, "namespace": namespace or own}
        if not isinstance(metadata["namespace"], str):
            raise invalid("metadata.namespace: a text is needed here")
        check_namespace(metadata["namespace"])
    metadata = _checked({key: value for key, value in metadata.items() if value is not None})
    kept = {key: value for key, value in document.items() if key != "status" and value is not None}
    return {**kept, "apiVersion": API_VERSION, "kind": kind, "metadata": metadata}


def _checked(metadata: Json) -> Json:
    """The metadata. Raises Refusal for a field of the wrong type: it would come back as it is."""
    for key, value in metadata.items():
        wanted = _TYPES.get(key)
        if wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise invalid(f"metadata.{key}: {'an object' if wanted is dict else f'a {wanted.__name__}'} is needed here")
    return metadata


def named(document: Json) -> str:
    """The name of an object to be created, made from generateName where there is none. Raises Refusal."""
    metadata = document["metadata"]
    name, prefix = metadata.get("name") or "", metadata.get("generateName") or ""
    if not isinstance(name, str) or not isinstance(prefix, str):
        raise invalid("metadata.name: a text is needed here")
    if not name and not prefix:
        raise invalid("resource name may not be empty: give metadata.name or metadata.generateName")
    metadata["name"] = name or random_name(prefix)
    check_name(metadata["name"])
    return str(metadata["name"])
