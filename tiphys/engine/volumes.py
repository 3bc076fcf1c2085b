"""The volumes of a pod: folders of this machine, filled from ConfigMaps and Secrets where the manifest says so."""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import Any

from tiphys.engine.environment import declared, expand_references
from tiphys.engine.errors import StepError
from tiphys.engine.objects import UNDECODED, ObjectStore

Json = dict[str, Any]


def volumes_of(template: Json, body: Json, attempt: Path, objects: ObjectStore) -> list[Json]:
    """Where each volume that a container mounts is on this machine, and the path at which the container sees it."""
    known = {volume["name"]: volume for volume in reversed(template.get("volumes") or [])}
    found = []
    for mount in body.get("volumeMounts") or []:
        _check_mount_path(mount)
        folder = attempt / "volumes" / mount["name"]
        if not folder.exists():
            folder.mkdir(parents=True)
            _fill_volume(folder, known.get(mount["name"]) or {}, objects)
        volume: Json = {"source": str(_below(folder, mount, body, objects)), "path": mount["mountPath"].rstrip("/")}
        if mount.get("readOnly"):
            volume["readOnly"] = True
        found.append(volume)
    return sorted(found, key=lambda volume: len(volume["path"]))


def _check_mount_path(mount: Json) -> None:
    path = mount.get("mountPath") or ""
    if not path.startswith("/") or os.path.normpath(path) != path.rstrip("/"):
        msg = f"volumeMounts {mount['name']!r}: mountPath {path!r}: give an absolute path below /, without . and .."
        raise StepError(msg)


def _below(folder: Path, mount: Json, body: Json, objects: ObjectStore) -> Path:
    """The part of a volume that a mount shows; made if it is not there, as Kubernetes does."""
    sub_path = mount.get("subPath") or ""
    if mount.get("subPathExpr"):
        sub_path = expand_references(mount["subPathExpr"], declared(body, objects))
    if not sub_path:
        return folder
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        msg = f"volumeMounts {mount['name']!r}: subPath {sub_path!r} leaves the volume: give a path below it"
        raise StepError(msg)
    found = folder / sub_path
    if not found.exists():
        found.mkdir(parents=True)
    return found


def _fill_volume(folder: Path, volume: Json, objects: ObjectStore) -> None:
    together = volume.get("projected") or {}
    projected = [
        {field: {"defaultMode": together.get("defaultMode"), **source, "secretName": source.get("name")}}
        for entry in together.get("sources") or []
        for field, source in entry.items()
    ]
    for part in (volume, *projected):
        _fill_from(folder, part, volume.get("name") or "", objects)


def _fill_from(folder: Path, volume: Json, name: str, objects: ObjectStore) -> None:
    for kind, field, name_field in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
        source = volume.get(field)
        if source is None:
            continue
        data = objects.data(kind, source.get(name_field) or "")
        if data is None and not source.get("optional"):
            msg = f"{kind.lower()} {source.get(name_field)!r} not found: needed by volume {name!r}"
            raise StepError(msg)
        for item in source.get("items") or [{"key": key, "path": key} for key in data or {}]:
            value = (data or {}).get(item["key"])
            if value is not None:
                _write_item(folder / item["path"], value, item.get("mode"), source.get("defaultMode"))
            elif not source.get("optional"):
                what = "config" if kind == "ConfigMap" else "secret"
                msg = f"volume {name!r}: references non-existent {what} key: {item['key']}"
                raise StepError(msg)


def _write_item(path: Path, value: str, *modes: int | None) -> None:
    """One key of a ConfigMap or Secret as a file, with the first mode that is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value.encode("utf-8", UNDECODED))
    path.chmod(next((mode for mode in modes if mode is not None), 0o644))
