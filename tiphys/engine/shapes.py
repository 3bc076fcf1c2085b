"""Refuses what does not have the shape of a Kubernetes object, so that everyone after may rely on it.

Types only: whether a field is known and honoured is for `fields.py`, whether its value makes sense for `validate.py`.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterable
from typing import Any

from tiphys.engine.errors import ManifestError
from tiphys.engine.nesting import check_tree

Json = dict[str, Any]
_TEXTS = frozenset(
    ("name", "template", "entrypoint", "onExit", "image", "depends", "when", "expression", "workingDir", "mountPath",
     "path", "from", "fromExpression", "subPath", "globalName", "displayName", "serviceAccountName", "withParam",
     "key", "secretName", "url", "method", "body", "successCondition", "strategy", "parameter", "retryPolicy", "target",
     "prefix", "subPathExpr", "fieldPath", "shutdown", "format", "description", "namespace", "medium", "bytes")
)  # fmt: skip
# Texts that may be written as numbers or booleans.
_SCALARS = frozenset(
    ("value", "default", "limit", "factor", "duration", "maxDuration", "cap", "count", "start", "end", "timeout",
     "pendingTimeout", "maxAge", "retries", "activeDeadlineSeconds", "sizeLimit", "port")
)  # fmt: skip
_TEXT_LISTS = frozenset(("command", "args", "dependencies"))
_SCALAR_LISTS = frozenset(("enum",))
_NAMED = frozenset(
    ("parameters", "artifacts", "env", "volumes", "volumeMounts", "templates", "tasks", "containers", "sidecars",
     "initContainers", "headers")
)  # fmt: skip
_LISTS = frozenset(("envFrom", "mutexes", "semaphores", "items", "sources", "transformation"))
_MAPPINGS = frozenset(
    ("arguments", "inputs", "outputs", "container", "script", "dag", "retryStrategy", "valueFrom", "s3",
     "raw", "hooks", "memoize", "synchronization", "templateDefaults", "workflowTemplateRef", "templateRef", "inline",
     "backoff", "configMap", "secret", "emptyDir", "projected", "configMapKeyRef", "secretKeyRef", "fieldRef",
     "configMapRef", "secretRef", "cache", "continueOn", "withSequence", "ttlStrategy", "artifactGC", "containerSet",
     "workflowMetadata", "labelsFrom", "labels", "annotations", "http", "bodyFrom", "artifactPaths", "archive", "none",
     "tar", "zip", "supplied", "readinessProbe", "httpGet", "tcpSocket", "exec", "archiveLocation", "metadata")
)  # fmt: skip
_NUMBERS = frozenset(
    ("parallelism", "terminationGracePeriodSeconds", "mode", "defaultMode", "priority", "initialDelaySeconds",
     "periodSeconds", "successThreshold", "secondsAfterCompletion", "secondsAfterSuccess", "secondsAfterFailure",
     "compressionLevel", "timeoutSeconds")
)  # fmt: skip
_MODES = {"mode": 0o7777, "defaultMode": 0o777}  # the greatest
_BOOLEANS = frozenset(
    ("optional", "failFast", "daemon", "failed", "error", "clusterScope", "recurseMode", "insecureSkipVerify",
     "mirrorVolumeMounts", "archiveLogs")
)  # fmt: skip
# Below these are the user's own names, each with an object of the kind that the table knows.
_NAMED_MAPS = frozenset(("hooks", "labelsFrom"))
# What is below these is the user's own, of another kind, or for a cluster only.
_FREE = frozenset(
    ("withItems", "withParam", "labels", "annotations", "resources", "podSpecPatch", "metadata", "status", "hostPath",
     "httpGet", "nodeSelector", "affinity", "tolerations", "securityContext", "dnsConfig", "podMetadata", "podGC",
     "podDisruptionBudget", "encryptionOptions", "executor", "volumeClaimTemplates", "podResources", "hostAliases")
)  # fmt: skip
_KEYED = ("ConfigMap", "Secret")
_KEPT = (*_KEYED, "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "WorkflowEventBinding")
_CHECKED = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "WorkflowEventBinding")
_PATHS = frozenset(("path", "mountPath"))  # inside a step
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}|.*\{\{.*", re.DOTALL)  # or a tag that gives one
_WHOLE_OR_TAG = {
    "retryStrategy": ("limit",), "backoff": ("factor",), "withSequence": ("count", "start", "end"),
}  # fmt: skip
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_OBJECT_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_RUN_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LONGEST_NAME = 63  # of what becomes the value of a label: runs and templates
_SHOWN = 80  # characters of a wrong value in a message


def check_shape(document: Any) -> None:
    """Refuse a document of a wrong shape. Raises ManifestError that names the field."""
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        msg = f"{_shown(document)} is no Kubernetes object: write kind, metadata and spec"
        raise ManifestError(msg)
    kind = document["kind"]
    check_tree(document, kind)
    for section in ("metadata", "spec", "data", "stringData"):
        if document.get(section) is not None and not isinstance(document[section], dict):
            raise _wrong(f"{kind}.{section}", "a mapping", document[section])
    _metadata(document.get("metadata") or {}, kind)
    if kind in _KEPT and not (document.get("metadata") or {}).get("name"):
        msg = f"{kind} without metadata.name: give it a name"
        raise ManifestError(msg)
    if kind in _KEYED:
        _data(document)
    if kind in ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate"):
        _short((document.get("metadata") or {}).get("name") or "", kind)
    if kind not in _CHECKED:
        return
    spec = document.get("spec") or {}
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and (isinstance(deadline, bool) or not isinstance(deadline, int)):
        raise _wrong(f"{kind}.spec.activeDeadlineSeconds", "a whole number", deadline)
    _walk(spec, f"{kind}.spec")


def _data(document: Json) -> None:
    """Refuse keys and values that Kubernetes would not take."""
    kind = document["kind"]
    if document.get("binaryData"):
        msg = f"{kind}.binaryData can't be kept here: put the bytes into a Secret's data, or pass an artifact"
        raise ManifestError(msg)
    for section in ("data", "stringData"):
        for key, value in (document.get(section) or {}).items():
            place = f"{kind}.{section}.{key}"
            if not _OBJECT_KEY.fullmatch(str(key)) or key in (".", ".."):
                raise _wrong(f"{kind}.{section}", "a key of letters, digits, '-', '_' and '.'", key)
            if value is not None and not isinstance(value, str):
                raise _wrong(place, "a text (put it in quotes)", value)
            if (kind, section) == ("Secret", "data") and not _is_base64(value or ""):
                msg = f"{place}: this is not base64: encode the value, or give it as it is under stringData"
                raise ManifestError(msg)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except ValueError:
        return False
    return True


def check_run_name(name: str) -> None:
    """Refuse a run's name that Kubernetes would not take, and that could lead out of a folder. Raises ManifestError."""
    _short(name, "Workflow")
    if not _RUN_NAME.fullmatch(name):
        msg = (
            f"{_shown(name)} is no name for a run: write lower case letters, digits, '-' and '.', "
            f"{_LONGEST_NAME} at most, beginning and ending with a letter or digit"
        )
        raise ManifestError(msg)


def _short(name: str, kind: str) -> None:
    if len(name) > _LONGEST_NAME:
        what = {"WorkflowTemplate": "workflow template", "ClusterWorkflowTemplate": "cluster workflow template"}
        msg = (
            f"{what.get(kind, 'workflow')} name {_shown(name)} must not be more than {_LONGEST_NAME} characters long "
            f"(currently {len(name)})"
        )
        raise ManifestError(msg)


def _metadata(metadata: Json, kind: str) -> None:
    for field in ("name", "generateName", "namespace"):
        if metadata.get(field) is not None and not isinstance(metadata[field], str):
            raise _wrong(f"{kind}.metadata.{field}", "a text (put it in quotes)", metadata[field])
    for field in ("labels", "annotations"):
        entries = metadata.get(field) or {}
        if not isinstance(entries, dict):
            raise _wrong(f"{kind}.metadata.{field}", "a mapping", entries)
        for key, value in entries.items():
            if not isinstance(value, str):
                raise _wrong(f"{kind}.metadata.{field}.{key}", "a text (put it in quotes)", value)


def _walk(tree: Any, path: str) -> None:
    if isinstance(tree, dict):
        for key, value in tree.items():
            place = f"{path}.{key}"
            if value is not None:
                _field(key, value, place)
            if key in _NAMED_MAPS:
                _walk_named(value or {}, place)
            elif key == "items":
                _relative(value or [], place)
            elif key not in _FREE:
                _walk(value, place)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            _walk(value, f"{path}[{index}]")


def _walk_named(tree: Json, path: str) -> None:
    for name, value in tree.items():
        if not isinstance(value, dict):
            raise _wrong(f"{path}.{name}", "a mapping", value)
        _walk(value, f"{path}.{name}")


def _field(key: str, value: Any, path: str) -> None:
    if key in _TEXTS and not isinstance(value, str):
        raise _wrong(path, "a text (put it in quotes)", value)
    if key in _SCALARS:
        _scalar(value, path)
    if key in _PATHS and "{{" not in value:
        _absolute(value, path)
    if key in _MAPPINGS and not isinstance(value, dict):
        raise _wrong(path, "a mapping", value)
    if key in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int)):
        raise _wrong(path, "a whole number", value)
    if key in _MODES and not 0 <= value <= (_MODES[key] if ".items[" not in path else 0o777):
        raise _wrong(path, "a file's mode, such as 0644,", value)
    if key in _BOOLEANS and not isinstance(value, bool):
        raise _wrong(path, "true or false", value)
    if key in _TEXT_LISTS or key in _SCALAR_LISTS or key in _NAMED or key in _LISTS:
        if not isinstance(value, list):
            raise _wrong(path, "a list", value)
        _entries(key, value, path)
    _elsewhere(key, value, path)


def _scalar(value: Any, path: str) -> None:
    if not isinstance(value, (str, int, float)):
        raise _wrong(path, "a text (put it in quotes)", value)
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        msg = f"{path}: a number of more than 308 digits: write it as a text, in quotes"
        raise ManifestError(msg)


def _elsewhere(key: str, value: Any, path: str) -> None:
    """Fields whose shape depends on where they are."""
    if key == "script" and not isinstance(value.get("source", ""), str | None):
        raise _wrong(f"{path}.source", "a text", value["source"])
    if key == "raw" and not isinstance(value.get("data", ""), str | None):
        raise _wrong(f"{path}.data", "a text (put it in quotes)", value["data"])
    for field in _WHOLE_OR_TAG.get(key, ()):
        if not _WHOLE.fullmatch(str(value.get(field) or 0)):
            raise _wrong(f"{path}.{field}", "a whole number", value[field])
    if key == "bodyFrom" and not _is_base64(str(value.get("bytes") or "")):
        raise _wrong(f"{path}.bytes", "base64", value["bytes"])
    if key == "withItems" and not isinstance(value, (list, str)):
        raise _wrong(path, "a list", value)
    if key == "steps":
        _groups(value, path)
    if key in ("data", "source") and not isinstance(value, (dict, str)):
        raise _wrong(path, "a mapping", value)
    if key == "suspend" and not isinstance(value, (dict, bool)):
        raise _wrong(path, "a mapping", value)


def _groups(groups: Any, path: str) -> None:
    """Refuse what is not a list of lists of steps; an empty group may be left out."""
    if not isinstance(groups, list):
        raise _wrong(path, "a list of lists", groups)
    for index, group in enumerate(groups):
        if not isinstance(group, list | None):
            raise _wrong(f"{path}[{index}]", "a list of steps", group)
        _entries("steps", group or [], f"{path}[{index}]")


def _absolute(value: str, path: str) -> None:
    """Refuse a path in a step that is not absolute, or that climbs."""
    if "\0" in value or not value.startswith("/") or ".." in value.split("/") or not value.strip("/"):
        msg = f"{path}: {_shown(value)} is no place for a file: write an absolute path without '..', such as /tmp/file"
        raise ManifestError(msg)


def _relative(items: list[Json], path: str) -> None:
    """Refuse items of a volume that would be written outside it."""
    for index, item in enumerate(items):
        place = f"{path}[{index}]"
        for field in ("key", "path"):
            if not isinstance(item.get(field), str):
                raise _wrong(f"{place}.{field}", "a text (put it in quotes)", item.get(field))
        if not item["path"] or item["path"].startswith("/") or ".." in item["path"].split("/") or "\0" in item["path"]:
            raise _wrong(f"{place}.path", "a relative path without '..'", item["path"])
        if item.get("mode") is not None:
            _field("mode", item["mode"], f"{place}.mode")


def _entries(key: str, entries: Iterable[Any], path: str) -> None:
    for index, entry in enumerate(entries):
        place = f"{path}[{index}]"
        if key in _SCALAR_LISTS:
            _scalar(entry, place)
        elif key in _TEXT_LISTS:
            if not isinstance(entry, str):
                raise _wrong(place, "a text (put it in quotes)", entry)
        elif not isinstance(entry, dict):
            raise _wrong(place, "a mapping", entry)
        elif key in ("volumes", "volumeMounts") and not _LABEL.fullmatch(str(entry.get("name"))):
            raise _wrong(f"{place}.name", "a name of lower case letters, digits and '-'", entry.get("name"))
        elif (
            key in _NAMED
            and key not in ("volumes", "volumeMounts", "templates")
            and not isinstance(entry.get("name"), str)
        ):
            raise _wrong(f"{place}.name", "a text (put it in quotes)", entry.get("name"))


def _wrong(path: str, wanted: str, found: Any) -> ManifestError:
    if isinstance(found, bool) and wanted.startswith("a text"):
        return ManifestError(f"{path}: YAML reads a bare y, n, on, off, yes or no as true or false: put it in quotes")
    return ManifestError(f"{path}: {wanted} is needed here, not {_shown(found)}")


def _shown(value: Any) -> str:
    """The beginning of a value, never the whole of a large one."""
    text = repr(value) if isinstance(value, (str, int, float, bool)) or value is None else f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
