"""Every field of a manifest: honoured, advisory (one note) or refused. A field that no table knows is refused too."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import ManifestError

Json = dict[str, Any]
_NAMES = ("name", "template", "entrypoint", "onExit", "image", "depends", "when")
_HONOURED: Any = "honoured"
_ADVISORY: Any = "advisory"


class _Refused(str):
    """A field that can't be honoured here, and what to do instead."""

    __slots__ = ()


class _Each(tuple[Any]):
    """A list whose elements have this table."""

    __slots__ = ()


class _Steps(tuple[Any]):
    """A list of lists whose elements have this table."""

    __slots__ = ()


class _Named(tuple[Any]):
    """A map of free names to objects with this table."""

    __slots__ = ()


def _honoured(*names: str) -> Json:
    return dict.fromkeys(names, _HONOURED)


def _advisory(*names: str) -> Json:
    return dict.fromkeys(names, _ADVISORY)


_CLUSTER = "needs a cluster: run it there, or leave it out"
_POD_ADVICE = _advisory(
    "nodeSelector", "affinity", "tolerations", "schedulerName", "priorityClassName", "serviceAccountName",
    "automountServiceAccountToken", "executor", "hostAliases", "securityContext", "podSpecPatch", "metrics",
    "podResources", "resourceClaims",
)  # fmt: skip
_KEY_REF = _honoured("name", "key", "optional")
_VALUE_FROM: Json = {
    **_honoured("path", "parameter", "expression", "default", "supplied"),
    "configMapKeyRef": _KEY_REF,
    "jsonPath": _Refused("reads Kubernetes objects: " + _CLUSTER),
    "jqFilter": _Refused("reads Kubernetes objects: " + _CLUSTER),
    "event": _Refused("only event bindings have it"),
}
_PARAMETER: Json = {
    **_honoured("name", "default", "value", "globalName", "enum", "description"),
    "valueFrom": _VALUE_FROM,
}
_NOT_FETCHED = _Refused("can't be fetched here: put the bytes into the artifact repository (s3.key)")
_ARTIFACT_GC: Json = {
    **_honoured("strategy"),
    **_advisory("podMetadata", "serviceAccountName", "podSpecPatch", "forceFinalizerRemoval"),
}
_S3 = {**_honoured("key"), **_advisory(
    "endpoint", "bucket", "region", "insecure", "accessKeySecret", "secretKeySecret", "sessionTokenSecret", "roleARN",
    "useSDKCreds", "createBucketIfNotPresent", "encryptionOptions", "caSecret", "addressingStyle",
)}  # fmt: skip
_ARTIFACT: Json = {
    **_honoured("name", "path", "mode", "from", "globalName", "optional", "subPath", "recurseMode", "fromExpression"),
    **_advisory("archiveLogs", "deleted"),
    "artifactGC": _ARTIFACT_GC,
    "archive": {**_honoured("none", "zip"), "tar": _advisory("compressionLevel")},
    "raw": _honoured("data"),
    "s3": _S3,
    "http": {
        "url": _HONOURED,
        "headers": _Each((_honoured("name", "value"),)),
        "auth": _Refused("is not used here: give an Authorization header"),
    },
    **dict.fromkeys(("git", "artifactory", "hdfs", "oss", "gcs", "azure", "plugin"), _NOT_FETCHED),
}
_STORED: Json = {
    **_ARTIFACT,
    "http": _Refused("can't be written to here: leave it out, and the artifact repository has it"),
}
_ARGUMENTS: Json = {"parameters": _Each((_PARAMETER,)), "artifacts": _Each((_ARTIFACT,))}
_OUTPUTS: Json = {
    "parameters": _Each((_PARAMETER,)),
    "artifacts": _Each((_STORED,)),
    **_honoured("result", "exitCode"),
}
_ENV: Json = {
    **_honoured("name", "value"),
    "valueFrom": {
        "configMapKeyRef": _KEY_REF,
        "secretKeyRef": _KEY_REF,
        "fieldRef": {**_honoured("fieldPath"), **_advisory("apiVersion")},
        "resourceFieldRef": _Refused("reads the pod's own object: " + _CLUSTER),
        "fileKeyRef": _Refused("is not supported here: use a ConfigMap"),
    },
}
_OBJECT_REF = _honoured("name", "optional")
_ENV_FROM: Json = {**_honoured("prefix"), "configMapRef": _OBJECT_REF, "secretRef": _OBJECT_REF}
_MOUNT: Json = {
    **_honoured("name", "mountPath"),
    **_advisory("readOnly", "mountPropagation", "recursiveReadOnly"),
    **_honoured("subPath", "subPathExpr"),
}
_PROBE: Json = {
    **_honoured("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold"),
    **_advisory("failureThreshold", "terminationGracePeriodSeconds"),
    "httpGet": _honoured("path", "port", "host", "scheme", "httpHeaders"),
    "tcpSocket": _honoured("port", "host"),
    "exec": _honoured("command"),
    "grpc": _Refused("is not asked here: use httpGet, tcpSocket or exec"),
}
_CONTAINER: Json = {
    **_honoured("name", "image", "command", "args", "workingDir"),
    "env": _Each((_ENV,)),
    "envFrom": _Each((_ENV_FROM,)),
    "volumeMounts": _Each((_MOUNT,)),
    **_advisory(
        "resources", "imagePullPolicy", "securityContext", "ports", "livenessProbe", "startupProbe",
        "terminationMessagePath", "terminationMessagePolicy", "tty", "stdin", "stdinOnce", "resizePolicy",
        "restartPolicy", "restartPolicyRules",
    ),
    "readinessProbe": _PROBE,
    "lifecycle": _Refused("hooks of a container are not run here: leave it out"),
    "volumeDevices": _Refused("needs block devices: " + _CLUSTER),
}  # fmt: skip
_USER_CONTAINER: Json = {**_CONTAINER, **_honoured("mirrorVolumeMounts")}
_ITEMS = _Each((_honoured("key", "path", "mode"),))
_PROJECTED_FROM: Json = {**_honoured("name", "optional"), "items": _ITEMS}
_PROJECTION: Json = {
    "configMap": _PROJECTED_FROM,
    "secret": _PROJECTED_FROM,
    **dict.fromkeys(
        ("serviceAccountToken", "downwardAPI", "clusterTrustBundle", "podCertificate"),
        _Refused("is nothing that this machine has: project ConfigMaps and Secrets"),
    ),
}
_VOLUME: Json = {
    **_honoured("name"),
    "emptyDir": _advisory("medium", "sizeLimit"),
    "configMap": {**_honoured("name", "optional", "defaultMode"), "items": _ITEMS},
    "secret": {**_honoured("secretName", "optional", "defaultMode"), "items": _ITEMS},
    "projected": {**_honoured("defaultMode"), "sources": _Each((_PROJECTION,))},
    **dict.fromkeys(
        ("persistentVolumeClaim", "hostPath", "nfs", "csi", "downwardAPI", "ephemeral", "image"),
        _Refused("is no volume that this machine has: use emptyDir, configMap or secret, or pass an artifact"),
    ),
}
_TEMPLATE_REF = _honoured("name", "template", "clusterScope")
_HOOK: Json = {**_honoured("template", "expression"), "arguments": _ARGUMENTS, "templateRef": _TEMPLATE_REF}
_RETRY: Json = {
    **_honoured("limit", "retryPolicy", "expression"),
    "backoff": _honoured("duration", "factor", "maxDuration", "cap"),
    **_advisory("affinity"),
}
_LOCKS: Json = {
    "mutexes": _Each(({**_honoured("name", "namespace"), "database": _Refused("needs a database: leave it out")},)),
    "semaphores": _Each((
        {**_honoured("namespace"), "configMapKeyRef": _KEY_REF, "database": _Refused("needs a database: leave it out")},
    )),
}  # fmt: skip
_STEP: Json = {
    **_honoured("name", "template", "withItems", "withParam", "when", "onExit"),
    "arguments": _ARGUMENTS,
    "templateRef": _TEMPLATE_REF,
    "withSequence": _honoured("count", "start", "end", "format"),
    "continueOn": _honoured("error", "failed"),
    "hooks": _Named((_HOOK,)),
}
_TASK: Json = {**_STEP, **_honoured("dependencies", "depends")}
_TEMPLATE: Json = {
    **_honoured("name", "activeDeadlineSeconds", "parallelism", "failFast", "annotations", "timeout", "pendingTimeout"),
    **_POD_ADVICE,
    **_advisory("metadata"),
    "archiveLocation": {
        **_honoured("archiveLogs"),
        **_advisory("s3", "gcs", "azure", "oss", "hdfs", "artifactory", "git", "http", "raw", "plugin"),
    },
    "inputs": _ARGUMENTS,
    "outputs": _OUTPUTS,
    "container": _CONTAINER,
    "script": {**_CONTAINER, **_honoured("source")},
    "steps": _Steps((_STEP,)),
    "dag": {**_honoured("target", "failFast"), "tasks": _Each((_TASK,))},
    "suspend": _honoured("duration"),
    "retryStrategy": _RETRY,
    "synchronization": _LOCKS,
    "memoize": {**_honoured("key", "maxAge"), "cache": {"configMap": _KEY_REF}},
    "volumes": _Each((_VOLUME,)),
    "daemon": _HONOURED,
    "sidecars": _Each((_USER_CONTAINER,)),
    "initContainers": _Each((_USER_CONTAINER,)),
    "containerSet": {
        "containers": _Each(({**_CONTAINER, **_honoured("dependencies")},)),
        "volumeMounts": _Each((_MOUNT,)),
        "retryStrategy": _honoured("duration", "retries"),
    },
    "resource": _Refused("resource templates need a Kubernetes API server: " + _CLUSTER),
    "data": {
        "source": {"artifactPaths": {**_ARTIFACT, "http": _NOT_FETCHED}},
        "transformation": _Each((_honoured("expression"),)),
    },
    "http": {
        **_honoured("method", "url", "body", "timeoutSeconds", "successCondition", "insecureSkipVerify"),
        "bodyFrom": _honoured("bytes"),
        "headers": _Each(({**_honoured("name", "value"), "valueFrom": {"secretKeyRef": _KEY_REF}},)),
    },
    "plugin": _Refused("executor plugins need a cluster: run it there, or make it a script"),
}
_STEP["inline"] = _TASK["inline"] = _TEMPLATE
_SPEC: Json = {
    **_honoured("entrypoint", "parallelism", "onExit", "activeDeadlineSeconds", "priority", "shutdown", "suspend"),
    **_POD_ADVICE,
    **_advisory(
        "imagePullSecrets", "hostNetwork", "dnsPolicy", "dnsConfig", "podGC", "podPriorityClassName",
        "podDisruptionBudget", "volumeClaimGC", "podMetadata", "artifactRepositoryRef",
    ),
    "synchronization": _LOCKS,  # of whole runs: one is driven at a time
    "ttlStrategy": _honoured("secondsAfterCompletion", "secondsAfterSuccess", "secondsAfterFailure"),
    "archiveLogs": _HONOURED,
    "artifactGC": _ARTIFACT_GC,
    "arguments": _ARGUMENTS,
    "templates": _Each((_TEMPLATE,)),
    "templateDefaults": _TEMPLATE,
    "workflowTemplateRef": _honoured("name", "clusterScope"),
    "retryStrategy": _RETRY,
    "hooks": _Named((_HOOK,)),
    "volumes": _Each((_VOLUME,)),
    "workflowMetadata": {
        **_honoured("labels", "annotations"),
        "labelsFrom": _Named((_honoured("expression"),)),
    },
    "executorPlugins": _Refused("executor plugins need a cluster: run it there"),
    "volumeClaimTemplates": _Refused("this machine has no volume claims: use emptyDir, or pass an artifact"),
}  # fmt: skip
_DOCUMENT: Json = {**_honoured("apiVersion", "kind", "metadata"), **_advisory("status"), "spec": _SPEC}
_CRON_SPEC: Json = {
    **_honoured(
        "schedules", "timezone", "suspend", "concurrencyPolicy", "startingDeadlineSeconds", "when",
        "successfulJobsHistoryLimit", "failedJobsHistoryLimit",
    ),
    "schedule": _Refused("is not read since Argo 4: write schedules, a list"),
    "stopStrategy": {
        **_honoured("expression"),
        "condition": _Refused("is not read since Argo 4: write expression"),
    },
    "workflowMetadata": {**_honoured("labels", "annotations"), **_advisory("finalizers")},
    "workflowSpec": _SPEC,
}  # fmt: skip
_EVENT_PARAMETER: Json = {
    **_honoured("name"),
    "valueFrom": _honoured("event"),
    "value": _Refused("is not read in a binding: write valueFrom.event, such as '\"text\"'"),
}
_BINDING_SPEC: Json = {
    "event": _honoured("selector"),
    "submit": {
        "workflowTemplateRef": _honoured("name", "clusterScope"),
        "metadata": _honoured("name", "generateName", "labels", "annotations"),
        "arguments": {
            "parameters": _Each((_EVENT_PARAMETER,)),
            "artifacts": _Refused("an event has no artifacts: pass a key as a parameter"),
        },
    },
}
_DOCUMENTS: dict[str, Json] = {
    **dict.fromkeys(("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate"), _DOCUMENT),
    "CronWorkflow": {**_DOCUMENT, "spec": _CRON_SPEC},
    "WorkflowEventBinding": {**_DOCUMENT, "spec": _BINDING_SPEC},
}

IN_CONTAINERS = frozenset({"securityContext", "resources", "readOnly"})
"""What is advisory for a process and honoured in a container; of resources claims are not."""


def check_fields(document: Json) -> dict[str, str]:
    """The advisory fields of a document, each with the first place that has it. Raises ManifestError that names an unknown or refused field."""
    table = _DOCUMENTS.get(str(document.get("kind")))
    if table is None:
        return {}
    advisory: dict[str, str] = {}
    name = (document.get("metadata") or {}).get("name") or (document.get("metadata") or {}).get("generateName") or ""
    _walk(document, table, f"{document['kind']} {name}".strip(), advisory)
    return advisory


def _walk(value: Any, table: Any, path: str, advisory: dict[str, str]) -> None:
    if isinstance(table, (_Each, _Steps, _Named)):
        _walk_many(value, table, path, advisory)
    elif isinstance(table, dict) and value is not None:
        if not isinstance(value, dict):
            msg = f"{path}: a mapping is needed here, not {value!r}"
            raise ManifestError(msg)
        for key, inner in value.items():
            _field(key, inner, table, path, advisory)


def _walk_many(value: Any, table: Any, path: str, advisory: dict[str, str]) -> None:
    if value is None:
        return
    if isinstance(table, _Named):
        for key, inner in value.items():
            _walk(inner, table[0], f"{path}.{key}", advisory)
        return
    if not isinstance(value, list):
        msg = f"{path}: a list is needed here, not {value!r}"
        raise ManifestError(msg)
    for index, inner in enumerate(value):
        place = f"{path}[{index}]"
        if isinstance(table, _Steps):
            _walk_many(inner, _Each(table), place, advisory)
            continue
        label = inner.get("name") if isinstance(inner, dict) else None
        _walk(inner, table[0], f"{path}.{label}" if label else place, advisory)


def _field(key: str, value: Any, table: Json, path: str, advisory: dict[str, str]) -> None:
    verdict = table.get(key)
    if key in _NAMES and isinstance(value, bool):
        message = f"{path}.{key}: YAML reads a bare y, n, on, off, yes or no as true or false: put the name in quotes"
        raise ManifestError(message)
    if verdict is None:
        known = ", ".join(sorted(table)[:40])
        msg = f'{path}: unknown field "{key}": correct it or take it away (known here: {known})'
        raise ManifestError(msg)
    if isinstance(verdict, _Refused):
        msg = f"{path}.{key}: {verdict}"
        raise ManifestError(msg)
    if verdict is _ADVISORY:
        advisory.setdefault(key, path)
    elif verdict is not _HONOURED:
        _walk(value, verdict, f"{path}.{key}", advisory)


def verdicts() -> dict[str, list[str]]:
    """All fields by verdict, as `object.field`, for the reference page."""
    found: dict[str, list[str]] = {"honoured": [], "advisory": [], "refused": []}
    tables = {
        "spec": _SPEC, "template": _TEMPLATE, "container": _CONTAINER, "step": _STEP, "task": _TASK,
        "artifact": _ARTIFACT, "parameter.valueFrom": _VALUE_FROM, "volume": _VOLUME, "retryStrategy": _RETRY,
    }  # fmt: skip
    for name, table in tables.items():
        for key, verdict in table.items():
            kind = "refused" if isinstance(verdict, _Refused) else "advisory" if verdict is _ADVISORY else "honoured"
            found[kind].append(f"{name}.{key}")
    return found
