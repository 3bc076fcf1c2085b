"""What a container may ask about its own pod, `env.valueFrom.fieldRef`, as far as a machine without pods can say."""

from __future__ import annotations

import re
import uuid
from typing import Any

from tiphys.engine.errors import ManifestError
from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState

Json = dict[str, Any]
_LOOPBACK = "127.0.0.1"
_PLAIN = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.serviceAccountName", "status.podIP", "status.hostIP",
)  # fmt: skip
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_DOMAIN = "workflows.argoproj.io"


def bodies(template: Json) -> list[Json]:
    """All containers of a template."""
    own = [template[kind] for kind in ("container", "script") if template.get(kind)]
    lists = [
        (template.get("containerSet") or {}).get("containers"),
        template.get("sidecars"),
        template.get("initContainers"),
    ]
    return own + [body for found in lists for body in found or []]


def _path(entry: Json) -> str | None:
    reference = (entry.get("valueFrom") or {}).get("fieldRef")
    return None if reference is None else str(reference.get("fieldPath") or "")


def has_field_refs(template: Json) -> bool:
    """Whether any container of the template asks about its pod."""
    return any(_path(entry) is not None for body in bodies(template) for entry in body.get("env") or [])


def check_field_refs(template: Json, place: str) -> None:
    """Raises ManifestError for a field that only a cluster knows."""
    for body in bodies(template):
        for entry in body.get("env") or []:
            path = _path(entry)
            if path is not None and path not in _PLAIN and not _KEYED.fullmatch(path):
                known = ", ".join([*_PLAIN, "metadata.labels['x']", "metadata.annotations['x']"])
                msg = (
                    f"{place}.env.{entry.get('name')}: fieldPath {path!r} is not known on this machine (known: {known})"
                )
                raise ManifestError(msg)


def fill_field_refs(template: Json, run: RunState, spec: Json, node: Node, pod: str) -> Json:
    """The template with a plain value in place of each fieldRef; `spec` is the run's with its tags filled in."""
    values = _values(template, run, spec, node, pod)

    def entry_of(entry: Json) -> Json:
        path = _path(entry)
        if path is None:
            return entry
        return {"name": entry["name"], "value": values.get(path, "").replace("$", "$$")}

    def body_of(body: Json) -> Json:
        return {**body, "env": [entry_of(entry) for entry in body["env"]]} if body.get("env") else body

    filled = dict(template)
    for kind in ("container", "script"):
        if filled.get(kind):
            filled[kind] = body_of(filled[kind])
    for kind in ("sidecars", "initContainers"):
        if filled.get(kind):
            filled[kind] = [body_of(body) for body in filled[kind]]
    if filled.get("containerSet"):
        group = filled["containerSet"]
        filled["containerSet"] = {**group, "containers": [body_of(body) for body in group["containers"]]}
    return filled


def _values(template: Json, run: RunState, spec: Json, node: Node, pod: str) -> dict[str, str]:
    """By fieldPath: what Argo's pod would have there. A uid is made of the run's and the pod's name."""
    account = template.get("serviceAccountName") or spec.get("serviceAccountName") or "default"
    values = {
        "metadata.name": pod,
        "metadata.namespace": run.namespace,
        "metadata.uid": str(uuid.uuid5(uuid.UUID(run.uid), pod)),
        "spec.serviceAccountName": account,
        "status.podIP": _LOOPBACK,
        "status.hostIP": _LOOPBACK,
    }
    given = [spec.get("podMetadata") or {}, template.get("metadata") or {}]
    labels = {f"{_DOMAIN}/workflow": run.name, f"{_DOMAIN}/completed": "false"}
    annotations = {f"{_DOMAIN}/node-name": node.name, f"{_DOMAIN}/node-id": node.id}
    for kind, own in (("labels", labels), ("annotations", annotations)):
        merged = {**own, **(given[0].get(kind) or {}), **(given[1].get(kind) or {})}
        values.update({f"metadata.{kind}['{key}']": str(value) for key, value in merged.items()})
    return values
