"""What a step takes from outside of its manifest: the variables of its environment, ConfigMaps, Secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.field_refs import bodies
from tiphys.engine.objects import ObjectStore

Json = dict[str, Any]


@dataclass
class References:
    """Names of ConfigMaps, and of Secrets with their key (or `*`), in the order in which a template has them."""

    config_maps: dict[str, None] = field(default_factory=dict)
    secrets: dict[str, None] = field(default_factory=dict)

    def add(self, kind: str, name: str, key: str = "*") -> None:
        """One more."""
        if kind == "ConfigMap" and name:
            self.config_maps[name] = None
        elif kind == "Secret" and name:
            self.secrets[f"{name}/{key}"] = None


def references(template: Json) -> References:
    """All ConfigMaps and Secrets that a template with its tags filled in takes values from."""
    found = References()
    for body in bodies(template):
        for kind, name, key in _of_environment(body):
            found.add(kind, name, key)
    for volume in template.get("volumes") or []:
        parts = [volume, *((volume.get("projected") or {}).get("sources") or [])]
        for part in parts:
            found.add("ConfigMap", (part.get("configMap") or {}).get("name") or "")
            secret = part.get("secret") or {}
            found.add("Secret", secret.get("secretName") or secret.get("name") or "")
    for header in (template.get("http") or {}).get("headers") or []:
        reference = (header.get("valueFrom") or {}).get("secretKeyRef") or {}
        found.add("Secret", reference.get("name") or "", reference.get("key") or "*")
    return found


def _of_environment(body: Json) -> Iterator[tuple[str, str, str]]:
    for source in body.get("envFrom") or []:
        for kind, name in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            yield kind, (source.get(name) or {}).get("name") or "", "*"
    for entry in body.get("env") or []:
        for kind, name in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            reference = (entry.get("valueFrom") or {}).get(name) or {}
            yield kind, reference.get("name") or "", reference.get("key") or "*"


def environment(template: Json, objects: ObjectStore) -> list[Json]:
    """Each variable that the manifest gives the step, with where its value comes from and no value."""
    found: dict[str, str] = {}
    for body in bodies(template):
        for source in body.get("envFrom") or []:
            for kind, name in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                reference = source.get(name)
                if reference:
                    held = objects.data(kind, reference.get("name") or "") or {}
                    prefix = source.get("prefix") or ""
                    found |= {f"{prefix}{key}": f"{kind} {reference.get('name')}" for key in held}
        for entry in body.get("env") or []:
            found[entry["name"]] = _origin(entry)
    return [{"name": name, "from": origin} for name, origin in found.items()]


def _origin(entry: Json) -> str:
    for kind, name in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        reference = (entry.get("valueFrom") or {}).get(name)
        if reference:
            return f"{kind} {reference.get('name')}, key {reference.get('key')}"
    return "manifest"


def plain_values(template: Json) -> dict[str, str]:
    """The values that stand in the template itself: of its environment, and of its inputs."""
    given = [entry for body in bodies(template) for entry in body.get("env") or []]
    given += (template.get("inputs") or {}).get("parameters") or []
    given += (template.get("http") or {}).get("headers") or []
    return {entry["name"]: entry["value"] for entry in given if isinstance(entry.get("value"), str)}


def effects(template: Json) -> str:
    """What the template says that it does beyond its outputs: `pure`, `external`, ...; empty if it says nothing."""
    own = template.get("annotations") or {}
    metadata = (template.get("metadata") or {}).get("annotations") or {}
    return str({**metadata, **own}.get("tiphys/effects") or "")
