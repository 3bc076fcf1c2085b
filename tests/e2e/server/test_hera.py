"""Hera's own services against the server, as against a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from hera.events.service import EventsService
from hera.exceptions import HeraException, NotFound, Unauthorized
from hera.workflows import (
    Artifact,
    AsyncWorkflowsService,
    Container,
    CronWorkflow,
    NoneArchiveStrategy,
    Parameter,
    Steps,
    Suspend,
    Workflow,
    WorkflowsService,
    WorkflowTemplate,
)
from hera.workflows.models import (
    ClusterWorkflowTemplate,
    ClusterWorkflowTemplateCreateRequest,
    CronWorkflowResumeRequest,
    CronWorkflowSuspendRequest,
    ObjectMeta,
    SubmitOpts,
    WorkflowCreateRequest,
    WorkflowResubmitRequest,
    WorkflowResumeRequest,
    WorkflowRetryRequest,
    WorkflowSetRequest,
    WorkflowStopRequest,
    WorkflowSubmitRequest,
    WorkflowSuspendRequest,
    WorkflowTerminateRequest,
)
from hera.workflows.models import WorkflowTemplate as TemplateModel

from tests.e2e.server.conftest import Served

pytestmark = pytest.mark.e2e


@pytest.fixture
def service(server: Served) -> WorkflowsService:
    """Hera's service, with the token of an administrator."""
    return WorkflowsService(host=server.url, token=server.tokens["admin"], namespace="default")


def _workflow(service: WorkflowsService | None = None, command: str = "echo hi") -> Workflow:
    with Workflow(generate_name="hera-", entrypoint="main", workflows_service=service, namespace="default") as workflow:
        say = Container(name="say", image="alpine", command=["sh", "-c"], args=[command])
        with Steps(name="main"):
            say(name="one")
    return workflow


def test_create_and_wait(service: WorkflowsService) -> None:
    """`Workflow.create(wait=True)` comes back with the run that has ended."""
    made = _workflow(service).create(wait=True, poll_interval=1)

    assert made.status.phase == "Succeeded"
    assert made.metadata.uid


def test_lint_says_what_is_wrong(service: WorkflowsService) -> None:
    """What is right comes back; what is not is an error that names it."""
    assert _workflow(service).lint().spec.entrypoint == "main"
    wrong = _workflow(service)
    wrong.entrypoint = "nowhere"
    with pytest.raises(HeraException, match="nowhere"):
        wrong.lint()


def test_list_get_and_delete(service: WorkflowsService, server: Served) -> None:
    """By label, by name, page by page; what is gone is NotFound."""
    with Workflow(generate_name="mine-", entrypoint="say", labels={"owner": "hera"}) as workflow:
        Container(name="say", image="alpine", command=["true"])
    names = [service.create_workflow(WorkflowCreateRequest(workflow=workflow.build())).metadata.name for _ in range(3)]
    for name in names:
        server.wait(name)

    listed = service.list_workflows(label_selector="owner=hera")
    page = service.list_workflows(label_selector="owner=hera", limit="2")
    rest = service.list_workflows(label_selector="owner=hera", limit="2", continue_=page.metadata.continue_)
    few = service.list_workflows(label_selector="owner=hera", fields="items.metadata.name")
    assert {each.metadata.name for each in listed.items} == set(names)
    assert [each.metadata.name for each in [*page.items, *rest.items]] == [each.metadata.name for each in listed.items]
    assert few.items[0].status is None
    assert service.get_workflow(names[0]).status.phase == "Succeeded"
    service.delete_workflow(names[0])
    with pytest.raises(NotFound):
        service.get_workflow(names[0])


def test_retry_resubmit_and_the_rest(service: WorkflowsService, server: Served) -> None:
    """Retry, resubmit with a parameter, suspend, resume, set, stop and terminate."""
    with Workflow(generate_name="act-", entrypoint="main", arguments=[Parameter(name="code", value="1")]) as workflow:
        wait = Suspend(
            name="wait", intermediate_parameters=[Parameter(name="verdict", default="none", enum=["yes", "none"])]
        )
        end = Container(name="end", image="alpine", command=["sh", "-c"], args=["exit {{workflow.parameters.code}}"])
        with Steps(name="main"):
            wait(name="ask")
            end(name="end")
    name = service.create_workflow(WorkflowCreateRequest(workflow=workflow.build())).metadata.name
    server.wait_for_step(name, "ask", "Running")

    values = json.dumps({"verdict": "yes"})
    service.set_workflow(name, WorkflowSetRequest(node_field_selector="displayName=ask", output_parameters=values))
    service.resume_workflow(name, WorkflowResumeRequest(node_field_selector="displayName=ask"))
    failed = server.wait(name, "Failed")
    asked = next(each for each in failed["status"]["nodes"].values() if each["displayName"] == "ask")
    assert asked["outputs"]["parameters"][0]["value"] == "yes"
    assert service.retry_workflow(name, WorkflowRetryRequest()).status.phase == "Running"
    server.wait(name, "Failed")

    again = service.resubmit_workflow(name, WorkflowResubmitRequest(parameters=["code=0"])).metadata.name
    server.wait_for_step(again, "ask", "Running")
    service.suspend_workflow(again, WorkflowSuspendRequest())
    service.resume_workflow(again, WorkflowResumeRequest())
    assert server.wait(again)["status"]["phase"] == "Succeeded"

    for act, request in (
        (service.stop_workflow, WorkflowStopRequest()),
        (service.terminate_workflow, WorkflowTerminateRequest()),
    ):
        other = service.resubmit_workflow(name, WorkflowResubmitRequest()).metadata.name
        server.wait_for_step(other, "ask", "Running")
        act(other, request)
        assert server.wait(other)["status"]["phase"] == "Failed"


def test_templates_are_installed_and_submitted(service: WorkflowsService, server: Served) -> None:
    """A WorkflowTemplate and a ClusterWorkflowTemplate: create, update, list, submit with options, delete."""
    with WorkflowTemplate(name="greet", entrypoint="say", arguments=[Parameter(name="who", value="world")], workflows_service=service, namespace="default") as template:  # fmt: skip
        Container(name="say", image="alpine", command=["echo", "hello {{workflow.parameters.who}}"])
    template.create()
    template.labels = {"team": "a"}
    template.update()
    cluster = ClusterWorkflowTemplate(metadata=ObjectMeta(name="greet-all"), spec=template.build().spec)
    service.create_cluster_workflow_template(ClusterWorkflowTemplateCreateRequest(template=cluster))

    assert [each.metadata.name for each in service.list_workflow_templates(label_selector="team=a").items] == ["greet"]
    assert isinstance(service.get_workflow_template("greet"), TemplateModel)
    for kind, name in (("WorkflowTemplate", "greet"), ("ClusterWorkflowTemplate", "greet-all")):
        options = SubmitOpts(parameters=["who=me"], labels="from=hera", generate_name="given-")
        made = service.submit_workflow(
            WorkflowSubmitRequest(resource_kind=kind, resource_name=name, submit_options=options)
        )
        ended = server.wait(made.metadata.name)
        assert ended["status"]["phase"] == "Succeeded"
        assert ended["metadata"]["labels"]["from"] == "hera"
        assert {"name": "who", "value": "me"} in ended["spec"]["arguments"]["parameters"]
    service.delete_workflow_template("greet")
    service.delete_cluster_workflow_template("greet-all")
    with pytest.raises(NotFound):
        service.get_workflow_template("greet")


def test_a_cron_workflow_is_kept_suspended_and_run_by_hand(service: WorkflowsService, server: Served) -> None:
    """Create, list, suspend, resume, submit now, delete."""
    with CronWorkflow(name="nightly", entrypoint="say", schedules=["0 3 * * *"], workflows_service=service, namespace="default") as cron:  # fmt: skip
        Container(name="say", image="alpine", command=["true"])
    cron.create()

    assert [each.metadata.name for each in service.list_cron_workflows().items] == ["nightly"]
    assert service.suspend_cron_workflow("nightly", CronWorkflowSuspendRequest()).spec.suspend is True
    assert not service.resume_cron_workflow("nightly", CronWorkflowResumeRequest()).spec.suspend
    made = service.submit_workflow(WorkflowSubmitRequest(resource_kind="CronWorkflow", resource_name="nightly"))
    assert server.wait(made.metadata.name)["metadata"]["labels"]["workflows.argoproj.io/cron-workflow"] == "nightly"
    service.delete_cron_workflow("nightly")
    assert service.list_cron_workflows().items == []


def test_artifacts_are_downloaded(service: WorkflowsService, server: Served) -> None:
    """By name and by uid."""
    with Workflow(generate_name="art-", entrypoint="make") as workflow:
        Container(
            name="make", image="alpine", command=["sh", "-c"], args=["echo content > /tmp/out.txt"],
            outputs=[Artifact(name="out", path="/tmp/out.txt", archive=NoneArchiveStrategy())],
        )  # fmt: skip
    name = service.create_workflow(WorkflowCreateRequest(workflow=workflow.build())).metadata.name
    uid = server.wait(name)["metadata"]["uid"]

    assert "content" in service.get_output_artifact(name, name, "out")
    assert "content" in service.get_output_artifact_by_uid(uid, name, "out")


def test_the_asynchronous_service(server: Served) -> None:
    """The same, awaited."""

    async def run() -> str:
        async with AsyncWorkflowsService(host=server.url, token=server.tokens["admin"], namespace="default") as service:
            made = await service.create_workflow(WorkflowCreateRequest(workflow=_workflow().build()))
            listed = await service.list_workflows()
            assert made.metadata.name in [each.metadata.name for each in listed.items]
            return str((await service.get_workflow(made.metadata.name)).metadata.name)

    server.wait(asyncio.run(run()))


def test_events_and_information(server: Served, eventually: Callable[..., None]) -> None:
    """EventsService may send an event with its own token, and starts what a binding says; version, info and user."""
    binding = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowEventBinding", "metadata": {"name": "bound", "namespace": "default"},
        "spec": {
            "event": {"selector": 'discriminator == "hera" && payload.who != ""'},
            "submit": {
                "workflowTemplateRef": {"name": "bound"}, "metadata": {"labels": {"cause": '"event"'}},
                "arguments": {"parameters": [{"name": "who", "valueFrom": {"event": "payload.who"}}]},
            },
        },
    }  # fmt: skip
    spec = {"entrypoint": "say", "arguments": {"parameters": [{"name": "who"}]},
            "templates": [{"name": "say", "container": {"image": "alpine", "command": ["echo", "{{workflow.parameters.who}}"]}}]}  # fmt: skip
    template = {"metadata": {"name": "bound"}, "spec": spec}
    assert server.ask("POST", "/api/v1/workflow-templates/default", {"template": template})[0] == 200
    from tiphys.engine import ObjectStore  # noqa: PLC0415  # bindings come by `tiphys run` or kubectl, not by this API

    ObjectStore(server.home / "engine").apply(binding)

    sender = EventsService(host=server.url, token=server.tokens["events"], namespace="default")
    sender.receive_event("hera", _Payload({"who": "world"}))
    admin = EventsService(host=server.url, token=server.tokens["admin"], namespace="default")

    def started() -> bool:
        """The event has started its run."""
        found = server.get("/api/v1/workflows/default?listOptions.labelSelector=cause%3Devent")["items"]
        return [each["status"].get("phase") for each in found] == ["Succeeded"]

    eventually(started, 30)
    assert [each["metadata"]["name"] for each in server.get("/api/v1/workflow-event-bindings/default")["items"]] == [
        "bound"
    ]
    assert admin.get_version().version.startswith("v4.1.2")
    assert admin.get_info().managed_namespace in ("", None)
    assert admin.get_user_info().subject == "admin"
    with pytest.raises(Unauthorized):
        EventsService(host=server.url, token="wrong", namespace="default").get_info()


class _Payload:
    """A payload of several fields: Hera's own type holds one value."""

    def __init__(self, content: dict[str, str]) -> None:
        self._content = content

    def json(self, **_: object) -> str:
        """What Hera sends."""
        return json.dumps(self._content)
