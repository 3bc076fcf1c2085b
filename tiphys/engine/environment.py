"""The environment of a step: what its image, its manifest and its ConfigMaps and Secrets give it, never the caller's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tiphys.engine.errors import StepError
from tiphys.engine.images import MACHINE_PATH, Image
from tiphys.engine.objects import ObjectStore

Json = dict[str, Any]
_REFERENCE = re.compile(r"\$\$|\$\(([^()$]+)\)")


def environment(body: Json, image: Image, objects: ObjectStore, home: str) -> dict[str, str]:
    """The environment of a step: never the caller's. Raises StepError for a missing ConfigMap or Secret."""
    path = ":".join([*image.path_prefix, MACHINE_PATH])
    return {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "TZ": "UTC", **image.env, **declared(body, objects)}


def declared(body: Json, objects: ObjectStore) -> dict[str, str]:
    """What the manifest itself puts into the environment; only this is known to `$(NAME)`."""
    given: dict[str, str] = {}
    for source in body.get("envFrom") or []:
        given.update(_all_keys(source, objects))
    for entry in body.get("env") or []:
        value = _env_value(entry, objects, given)
        if value is not None:
            given[entry["name"]] = value
    return given


def _all_keys(source: Json, objects: ObjectStore) -> dict[str, str]:
    for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
        reference = source.get(field)
        if reference is None:
            continue
        data = objects.data(kind, reference.get("name") or "")
        if data is None and not reference.get("optional"):
            msg = f"{kind.lower()} {reference.get('name')!r} not found: `tiphys up` makes those of the platform"
            raise StepError(msg)
        return {f"{source.get('prefix') or ''}{key}": value for key, value in (data or {}).items()}
    return {}


def _env_value(entry: Json, objects: ObjectStore, known: Mapping[str, str]) -> str | None:
    source = entry.get("valueFrom")
    if source is None:
        return expand_references(entry.get("value") or "", known)
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        reference = source.get(field)
        if reference is None:
            continue
        name, key = reference.get("name") or "", reference.get("key") or ""
        value = (objects.data(kind, name) or {}).get(key)
        if value is None and not reference.get("optional"):
            msg = f"couldn't find key {key} in {kind} default/{name}: needed by env {entry['name']}"
            raise StepError(msg)
        return value
    return None


def expand_references(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` from `env` and `$$` to `$`, as Kubernetes does; unknown names stay."""
    return _REFERENCE.sub(lambda match: "$" if match[1] is None else env.get(match[1], match[0]), text)
