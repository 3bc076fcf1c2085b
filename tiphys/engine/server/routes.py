"""Every route, once: the application, the OpenAPI document and the tests of permissions are made from this table."""

from __future__ import annotations

from tiphys.engine.server import absent, actions, archived, artifacts, cron, events, info, logs, watching, workflows
from tiphys.engine.server.call import Operation
from tiphys.engine.server.objects import Kind

_LIST = tuple(
    f"listOptions.{name}"
    for name in (
        "labelSelector", "fieldSelector", "watch", "allowWatchBookmarks", "resourceVersion", "resourceVersionMatch",
        "timeoutSeconds", "limit", "continue", "sendInitialEvents",
    )
)  # fmt: skip
_DELETE = ("deleteOptions.preconditions.uid", "deleteOptions.dryRun", "force")
_LOGS = (
    *(
        f"logOptions.{name}"
        for name in ("container", "follow", "previous", "sinceSeconds", "sinceTime.seconds", "sinceTime.nanos", "timestamps", "tailLines", "limitBytes")
    ),
    "grep", "selector",
)  # fmt: skip
_RUNS, _RUN = "/api/v1/workflows/{namespace}", "/api/v1/workflows/{namespace}/{name}"
_ARCHIVE = "/api/v1/archived-workflows"
_CRON = "/api/v1/cron-workflows/{namespace}"
_WORKFLOW, _WORKFLOWS = "Workflow", "WorkflowList"


def operations() -> list[Operation]:
    """The whole table; what is more special stands before what would swallow it."""
    return [*_workflows(), *_templates(), *_crons(), *_archived(), *_events(), *_artifacts(), *_info(), *_absent()]


def _workflows() -> list[Operation]:
    service = "WorkflowService"
    return [
        Operation("GET", _RUNS, workflows.list_all, f"{service}_ListWorkflows", gives=_WORKFLOWS,
                  query=(*_LIST, "fields", "nameFilter", "createdAfter", "finishedBefore")),
        Operation("POST", _RUNS, workflows.create, f"{service}_CreateWorkflow", "WorkflowCreateRequest", _WORKFLOW),
        Operation("POST", f"{_RUNS}/lint", workflows.lint, f"{service}_LintWorkflow", "WorkflowLintRequest", _WORKFLOW),
        Operation("POST", f"{_RUNS}/submit", workflows.submit, f"{service}_SubmitWorkflow", "WorkflowSubmitRequest", _WORKFLOW),
        Operation("GET", _RUN, workflows.get, f"{service}_GetWorkflow", gives=_WORKFLOW, query=("getOptions.resourceVersion", "fields", "uid")),
        Operation("DELETE", _RUN, workflows.delete, f"{service}_DeleteWorkflow", query=_DELETE),
        Operation("GET", f"{_RUN}/log", logs.workflow_logs, f"{service}_WorkflowLogs", gives="LogEntry", query=("podName", *_LOGS), stream=True),
        *(
            Operation("PUT", f"{_RUN}/{verb}", handler, f"{service}_{verb.title()}Workflow", f"Workflow{verb.title()}Request", _WORKFLOW)
            for verb, handler in (
                ("resubmit", actions.resubmit), ("resume", actions.resume), ("retry", actions.retry), ("set", actions.set_node),
                ("stop", actions.stop), ("suspend", actions.suspend), ("terminate", actions.terminate),
            )
        ),
        Operation("GET", f"{_RUN}/{{podName}}/log", logs.workflow_logs, f"{service}_PodLogs", gives="LogEntry", query=_LOGS, stream=True),
        Operation("GET", "/api/v1/workflow-events/{namespace}", watching.watch_workflows, f"{service}_WatchWorkflows",
                  gives="WorkflowWatchEvent", query=(*_LIST, "fields"), stream=True),
        Operation("GET", "/api/v1/stream/events/{namespace}", watching.watch_events, f"{service}_WatchEvents",
                  gives="Event", query=_LIST, stream=True),
    ]  # fmt: skip


def _objects(kind: Kind, path: str, service: str, takes: dict[str, str], more: tuple[str, ...] = ()) -> list[Operation]:
    """The six routes that all kinds of objects have."""
    does, one, name = kind.handlers(), f"{path}/{{name}}", kind.name
    return [
        Operation("GET", path, does["list"], f"{service}_List{name}s", gives=f"{name}List", query=(*_LIST, *more)),
        Operation("POST", path, does["create"], f"{service}_Create{name}", takes["create"], name),
        Operation("POST", f"{path}/lint", does["lint"], f"{service}_Lint{name}", takes["lint"], name),
        Operation("GET", one, does["get"], f"{service}_Get{name}", gives=name, query=("getOptions.resourceVersion",)),
        Operation("PUT", one, does["update"], f"{service}_Update{name}", takes["update"], name),
        Operation("DELETE", one, does["delete"], f"{service}_Delete{name}", query=("deleteOptions.dryRun",)),
    ]


def _templates() -> list[Operation]:
    def takes(name: str) -> dict[str, str]:
        return {verb: f"{name}{verb.title()}Request" for verb in ("create", "lint", "update")}

    plain, cluster = "WorkflowTemplate", "ClusterWorkflowTemplate"
    return [
        *_objects(Kind(plain, "template"), "/api/v1/workflow-templates/{namespace}", f"{plain}Service", takes(plain), ("namePattern",)),
        *_objects(Kind(cluster, "template"), "/api/v1/cluster-workflow-templates", f"{cluster}Service", takes(cluster)),
    ]  # fmt: skip


def _crons() -> list[Operation]:
    takes = {verb: f"{verb.title()}CronWorkflowRequest" for verb in ("create", "lint", "update")}
    return [
        *_objects(cron.KIND, _CRON, "CronWorkflowService", takes),
        Operation("PUT", f"{_CRON}/{{name}}/resume", cron.resume, "CronWorkflowService_ResumeCronWorkflow", "CronWorkflowResumeRequest", cron.CRON),
        Operation("PUT", f"{_CRON}/{{name}}/suspend", cron.suspend, "CronWorkflowService_SuspendCronWorkflow", "CronWorkflowSuspendRequest", cron.CRON),
    ]  # fmt: skip


def _archived() -> list[Operation]:
    service, one, lists = "ArchivedWorkflowService", f"{_ARCHIVE}/{{uid}}", (*_LIST, "namespace")
    return [
        Operation("GET", _ARCHIVE, archived.list_all, f"{service}_ListArchivedWorkflows", gives=_WORKFLOWS, query=(*lists, "namePrefix", "nameFilter")),
        Operation("GET", f"{_ARCHIVE}-label-keys", archived.label_keys, f"{service}_ListArchivedWorkflowLabelKeys", gives="Texts", query=("namespace",)),
        Operation("GET", f"{_ARCHIVE}-label-values", archived.label_values, f"{service}_ListArchivedWorkflowLabelValues", gives="Texts", query=lists),
        Operation("GET", one, archived.get, f"{service}_GetArchivedWorkflow", gives=_WORKFLOW, query=("namespace", "name")),
        Operation("DELETE", one, archived.delete, f"{service}_DeleteArchivedWorkflow", query=("namespace",)),
        Operation("PUT", f"{one}/resubmit", archived.resubmit, f"{service}_ResubmitArchivedWorkflow", "WorkflowResubmitRequest", _WORKFLOW),
        Operation("PUT", f"{one}/retry", archived.retry, f"{service}_RetryArchivedWorkflow", "WorkflowRetryRequest", _WORKFLOW),
    ]  # fmt: skip


def _events() -> list[Operation]:
    return [
        Operation("POST", "/api/v1/events/{namespace}/{discriminator}", events.receive, "EventService_ReceiveEvent", "Payload", reads_body=False),
        Operation("GET", "/api/v1/workflow-event-bindings/{namespace}", events.bindings, "EventService_ListWorkflowEventBindings",
                  gives="WorkflowEventBindingList", query=_LIST),
    ]  # fmt: skip


def _artifacts() -> list[Operation]:
    service, named, known = (
        "ArtifactService",
        "{namespace}/{name}/{nodeId}/{artifactName}",
        "{uid}/{nodeId}/{artifactName}",
    )
    files = "/artifact-files/{namespace}/{idDiscriminator}/{id}/{nodeId}/{artifactDiscriminator}/{artifactName}"
    return [
        Operation("GET", f"/artifacts/{named}", artifacts.output, f"{service}_GetOutputArtifact", gives="Bytes"),
        Operation("GET", f"/input-artifacts/{named}", artifacts.given, f"{service}_GetInputArtifact", gives="Bytes"),
        Operation("GET", f"/artifacts-by-uid/{known}", artifacts.output_by_uid, f"{service}_GetOutputArtifactByUID", gives="Bytes"),
        Operation("GET", f"/input-artifacts-by-uid/{known}", artifacts.given_by_uid, f"{service}_GetInputArtifactByUID", gives="Bytes"),
        Operation("GET", files, artifacts.file, f"{service}_GetArtifactFile", gives="Bytes"),
        Operation("GET", f"{files}/{{file:path}}", artifacts.file, f"{service}_GetArtifactFileInFolder", gives="Bytes"),
    ]  # fmt: skip


def _info() -> list[Operation]:
    service = "InfoService"
    return [
        Operation("GET", "/api/v1/info", info.get_info, f"{service}_GetInfo", gives="Info"),
        Operation("GET", "/api/v1/version", info.get_version, f"{service}_GetVersion", gives="Version"),
        Operation("GET", "/api/v1/userinfo", info.get_user, f"{service}_GetUserInfo", gives="UserInfo"),
        Operation("POST", "/api/v1/tracking/event", info.collect, f"{service}_CollectEvent", "CollectEventRequest"),
    ]


def _absent() -> list[Operation]:
    found = []
    for what, service, missing in (
        ("event-sources", "EventSourceService", absent.no_event_source), ("sensors", "SensorService", absent.no_sensor),
    ):  # fmt: skip
        path, one = f"/api/v1/{what}/{{namespace}}", f"/api/v1/{what}/{{namespace}}/{{name}}"
        kind = service.removesuffix("Service")
        found += [
            Operation("GET", path, absent.nothing, f"{service}_List{kind}s", gives="Nothing", query=_LIST),
            Operation("POST", path, absent.no_events, f"{service}_Create{kind}", "Object", refuses=(501,)),
            Operation("GET", one, missing, f"{service}_Get{kind}", gives="Object"),
            Operation("PUT", one, absent.no_events, f"{service}_Update{kind}", "Object", refuses=(501,)),
            Operation("DELETE", one, missing, f"{service}_Delete{kind}"),
            Operation("GET", f"/api/v1/stream/{what}/{{namespace}}", absent.silent, f"{service}_Watch{kind}s", gives="Object", query=_LIST, stream=True),
            Operation("GET", f"/api/v1/stream/{what}/{{namespace}}/logs", absent.silent, f"{service}_{kind}sLogs", gives="Object", stream=True),
        ]  # fmt: skip
    limit = "/api/v1/sync/{namespace}/{key}"
    return [
        *found,
        Operation("POST", "/api/v1/sync/{namespace}", absent.no_sync, "SyncService_CreateSyncLimit", "Object", refuses=(501,)),
        *(
            Operation(method, limit, absent.no_sync, f"SyncService_{verb}SyncLimit", takes, refuses=(501,))
            for method, verb, takes in (("GET", "Get", ""), ("PUT", "Update", "Object"), ("DELETE", "Delete", ""))
        ),
    ]  # fmt: skip
