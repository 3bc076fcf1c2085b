"""Makes a Workflow from what is installed: `submit` of a template or a cron workflow, with the options that go with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tiphys.engine.engine import Engine
from tiphys.engine.scope import rfc3339
from tiphys.engine.server.bodies import assignments, text
from tiphys.engine.server.naming import API_VERSION, check_name
from tiphys.engine.server.refusals import invalid, not_found

Json = dict[str, Any]
_NAMES = {
    "WorkflowTemplate": ("WorkflowTemplate", "workflowtemplate", "workflowtemplates", "wftmpl"),
    "ClusterWorkflowTemplate": ("ClusterWorkflowTemplate", "clusterworkflowtemplate", "clusterworkflowtemplates", "cwftmpl"),
    "CronWorkflow": ("CronWorkflow", "cronworkflow", "cronworkflows", "cronwf"),
}  # fmt: skip
_LABELS = {
    "WorkflowTemplate": "workflows.argoproj.io/workflow-template",
    "ClusterWorkflowTemplate": "workflows.argoproj.io/cluster-workflow-template",
    "CronWorkflow": "workflows.argoproj.io/cron-workflow",
}
PLURALS = {
    "WorkflowTemplate": "workflowtemplates", "ClusterWorkflowTemplate": "clusterworkflowtemplates",
    "CronWorkflow": "cronworkflows", "WorkflowEventBinding": "workfloweventbindings",
}  # fmt: skip
_SCHEDULED = "workflows.argoproj.io/scheduled-time"  # also for one that is started by hand, as on Argo


def from_resource(kind: str, name: str, namespace: str, options: Json) -> Callable[[Engine], Json]:
    """What makes the Workflow, given an engine. Raises Refusal, now or when it is called."""
    known = next((each for each, names in _NAMES.items() if kind in names), None)
    if known is None:
        raise invalid(f"Resource kind '{kind[:80]}' is not supported for submitting")
    check_name(name)
    changes = _Options(options)

    def make(engine: Engine) -> Json:
        stored = find_object(engine, known, name, namespace)
        workflow = _from_cron(stored) if known == "CronWorkflow" else _from_template(known, name)
        workflow["metadata"]["labels"][_LABELS[known]] = name
        if namespace:
            workflow["metadata"]["namespace"] = namespace
        return changes.on(workflow)

    return make


def find_object(engine: Engine, kind: str, name: str, namespace: str) -> Json:
    """An installed object. Raises Refusal where there is none of that name in the namespace."""
    found = engine.objects.get(kind, name)
    if found is None or not in_namespace(engine, found, kind, namespace):
        raise not_found(PLURALS[kind], name)
    return found


def in_namespace(engine: Engine, document: Json, kind: str, namespace: str) -> bool:
    """Whether an object is in that namespace; the empty one stands for all, and cluster templates are in each."""
    own = (document.get("metadata") or {}).get("namespace") or engine.namespace
    return not namespace or kind == "ClusterWorkflowTemplate" or own == namespace


def _from_template(kind: str, name: str) -> Json:
    reference: Json = {"name": name}
    if kind == "ClusterWorkflowTemplate":
        reference["clusterScope"] = True
    return _workflow(f"{name}-", {"workflowTemplateRef": reference})


def _from_cron(stored: Json) -> Json:
    spec = stored.get("spec") or {}
    given = spec.get("workflowMetadata") or {}
    workflow = _workflow(f"{stored['metadata']['name']}-", dict(spec.get("workflowSpec") or {}))
    workflow["metadata"]["labels"].update(given.get("labels") or {})
    workflow["metadata"]["annotations"] = {_SCHEDULED: rfc3339(time.time()), **(given.get("annotations") or {})}
    return workflow


def _workflow(prefix: str, spec: Json) -> Json:
    metadata: Json = {"generateName": prefix, "labels": {}, "annotations": {}}
    return {"apiVersion": API_VERSION, "kind": "Workflow", "metadata": metadata, "spec": spec}


class _Options:
    """The `submitOptions` of a request."""

    def __init__(self, options: Json) -> None:
        self._parameters = assignments(options, "parameters")
        self._labels = _labels(text(options, "labels"), "labels")
        self._annotations = _labels(text(options, "annotations"), "annotations")
        self._metadata = {key: text(options, key) for key in ("name", "generateName")}
        self._spec: Json = {
            "entrypoint": text(options, "entryPoint") or text(options, "entrypoint"),
            "serviceAccountName": text(options, "serviceAccount"),
            "podPriorityClassName": text(options, "podPriorityClassName"),
        }
        priority = options.get("priority")
        if priority is not None and (isinstance(priority, bool) or not isinstance(priority, int)):
            raise invalid("submitOptions.priority: a whole number is needed here")
        if options.get("artifacts"):
            raise invalid(
                "submitOptions.artifacts: keys of artifacts can't be chosen here: put them into a Workflow's arguments"
            )
        self._spec["priority"] = priority

    def on(self, workflow: Json) -> Json:
        """The workflow with the options applied."""
        metadata, spec = workflow["metadata"], workflow["spec"]
        metadata["labels"].update(self._labels)
        metadata["annotations"].update(self._annotations)
        metadata.update({key: value for key, value in self._metadata.items() if value})
        spec.update({key: value for key, value in self._spec.items() if value not in (None, "")})
        if self._parameters:
            arguments = dict(spec.get("arguments") or {})
            rest = [each for each in arguments.get("parameters") or [] if each.get("name") not in self._parameters]
            given = [{"name": name, "value": value} for name, value in self._parameters.items()]
            spec["arguments"] = {**arguments, "parameters": [*given, *rest]}
        return workflow


def _labels(text: str, what: str) -> dict[str, str]:
    found = {}
    for part in filter(None, text.split(",")):
        key, sign, value = part.partition("=")
        if not sign or not key.strip():
            raise invalid(f"expected {what} of the form: NAME1=VALUE2,NAME2=VALUE2. Received: {text[:200]}")
        found[key.strip()] = value.strip()
    return found
