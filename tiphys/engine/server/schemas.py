"""The shapes of bodies and answers, as JSON schemas: what clients may rely on, and what a tester makes requests from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
TEXT: Json = {"type": "string"}
FLAG: Json = {"type": "boolean"}
WHOLE: Json = {"type": "integer"}
ANY: Json = {"type": "object"}
PAIRS: Json = {"type": "array", "items": {"type": "string", "pattern": r"^[^=\x00]+=[^\x00]*$"}}


def _object(properties: Mapping[str, Json], required: tuple[str, ...] = ()) -> Json:
    found: Json = {"type": "object", "properties": dict(properties)}
    return {**found, "required": list(required)} if required else found


def ref(name: str) -> Json:
    """Another schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _list(name: str) -> Json:
    return _object({"metadata": ref("ListMeta"), "items": {"type": "array", "items": ref(name)}}, ("metadata", "items"))


def _named(kind: str) -> Json:
    properties = {"apiVersion": TEXT, "kind": TEXT, "metadata": ref("ObjectMeta"), "spec": ANY, "status": ANY}
    return {**_object(properties, ("metadata", "spec")), "description": f"A {kind}, as in Argo's reference."}


def _about_run(**more: Json) -> Json:
    return _object({"name": TEXT, "namespace": TEXT, **more})


_MAP: Json = {"type": "object", "additionalProperties": TEXT}
_META = _object({
    "name": {"type": "string", "maxLength": 63, "pattern": _NAME}, "generateName": TEXT,
    "namespace": TEXT, "uid": TEXT, "resourceVersion": TEXT, "creationTimestamp": {"type": ["string", "null"]},
    "generation": WHOLE, "labels": _MAP, "annotations": _MAP,
})  # fmt: skip
_SUBMIT = _object({
    "name": {"type": "string", "maxLength": 63, "pattern": _NAME}, "generateName": TEXT, "entryPoint": TEXT,
    "parameters": PAIRS, "labels": TEXT, "annotations": TEXT, "serviceAccount": TEXT, "podPriorityClassName": TEXT,
    "priority": WHOLE, "dryRun": FLAG, "serverDryRun": FLAG,
})  # fmt: skip
_KINDS = ("WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "WorkflowEventBinding")
_CREATE: Json = _object({"dryRun": {"type": "array", "items": TEXT}})


def schemas() -> Json:
    """All of them by name."""
    return {**_shared(), **_about_runs(), **_about_objects(), **_about_the_server()}


def _shared() -> Json:
    return {
        "Error": _object({"code": WHOLE, "message": TEXT}, ("code", "message")),
        "Empty": _object({}),
        "Object": ANY,
        "Payload": ANY,
        "Nothing": _list("Object"),
        "Texts": _object({"items": {"type": "array", "items": TEXT}}, ("items",)),
        "ObjectMeta": _META,
        "ListMeta": _object({"resourceVersion": TEXT, "continue": TEXT, "remainingItemCount": WHOLE}),
    }


def _about_runs() -> Json:
    again = {"parameters": PAIRS, "nodeFieldSelector": TEXT}
    return {
        "Workflow": _named("Workflow"),
        "WorkflowList": _list("Workflow"),
        "WorkflowCreateRequest": _object({"namespace": TEXT, "serverDryRun": FLAG, "createOptions": _CREATE, "workflow": ref("Workflow")}, ("workflow",)),
        "WorkflowLintRequest": _object({"namespace": TEXT, "workflow": ref("Workflow")}, ("workflow",)),
        "WorkflowSubmitRequest": _object(
            {"namespace": TEXT, "resourceKind": {"type": "string", "enum": ["WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"]},
             "resourceName": {"type": "string", "pattern": _NAME}, "submitOptions": _SUBMIT},
            ("resourceKind", "resourceName"),
        ),
        "WorkflowRetryRequest": _about_run(restartSuccessful=FLAG, **again),
        "WorkflowResubmitRequest": _about_run(memoized=FLAG, parameters=PAIRS),
        "WorkflowResumeRequest": _about_run(nodeFieldSelector=TEXT),
        "WorkflowStopRequest": _about_run(nodeFieldSelector=TEXT, message=TEXT),
        "WorkflowSuspendRequest": _about_run(),
        "WorkflowTerminateRequest": _about_run(),
        "WorkflowSetRequest": _about_run(nodeFieldSelector=TEXT, message=TEXT, phase=TEXT, outputParameters=TEXT),
        "WorkflowWatchEvent": _object({"type": {"type": "string", "enum": ["ADDED", "MODIFIED", "DELETED"]}, "object": ref("Workflow")}, ("type", "object")),
        "LogEntry": _object({"content": TEXT, "podName": TEXT}, ("content", "podName")),
        "Event": ANY,
    }  # fmt: skip


def _about_objects() -> Json:
    found: Json = {}
    for kind in _KINDS:
        found |= {kind: _named(kind), f"{kind}List": _list(kind)}
    for kind in _KINDS[:2]:
        held = {"namespace": TEXT, "template": ref(kind)}
        found[f"{kind}CreateRequest"] = _object({**held, "createOptions": _CREATE}, ("template",))
        found[f"{kind}LintRequest"] = _object(held, ("template",))
        found[f"{kind}UpdateRequest"] = _object({**held, "name": TEXT}, ("template",))
    held = {"namespace": TEXT, "cronWorkflow": ref("CronWorkflow")}
    found |= {
        "CreateCronWorkflowRequest": _object({**held, "createOptions": _CREATE}, ("cronWorkflow",)),
        "LintCronWorkflowRequest": _object(held, ("cronWorkflow",)),
        "UpdateCronWorkflowRequest": _object({**held, "name": TEXT}, ("cronWorkflow",)),
        "CronWorkflowResumeRequest": _about_run(),
        "CronWorkflowSuspendRequest": _about_run(),
    }
    return found


def _about_the_server() -> Json:
    version = dict.fromkeys(
        ("version", "buildDate", "gitCommit", "gitTag", "gitTreeState", "goVersion", "compiler", "platform"), TEXT
    )
    return {
        "Version": _object(version, tuple(version)),
        "Info": _object({"managedNamespace": TEXT, "links": {"type": "array"}, "columns": {"type": "array"}, "modals": ANY, "navColor": TEXT}),
        "UserInfo": _object({"subject": TEXT, "issuer": TEXT, "name": TEXT, "groups": {"type": "array", "items": TEXT}}),
        "CollectEventRequest": _object({"name": TEXT}),
    }  # fmt: skip
