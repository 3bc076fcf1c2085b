"""What every workflow of ours has in common, in Hera: how its runs are found, wait for one another and end, and how its pods run.

It knows no component; ``manifest`` makes their templates.
"""

from __future__ import annotations

from typing import Any

from hera.workflows import Parameter, WorkflowTemplate
from hera.workflows import models as m

from tiphys.manifest import SERVICE_ACCOUNT, USER, seconds

EXECUTOR_ACCOUNT = "tiphys-executor"
"""What Argo's own containers in a pod report results as: they alone have its token."""
DAY = 24 * 3600
KEEP_SUCCEEDED, KEEP_OTHERS = 7 * DAY, 30 * DAY
WORKFLOW_LABEL, USE_CASE_LABEL, STARTED_BY_LABEL = "tiphys/workflow", "tiphys/use-case", "tiphys/started-by"


def given(name: str) -> str:
    """Refer to a parameter of the workflow."""
    return f"{{{{workflow.parameters.{name}}}}}"


def workflow(  # noqa: PLR0913 - what is one's own of a workflow
    name: str, title: str, description: str, parameters: list[Parameter], *, within: str, lock: str, **more: Any
) -> WorkflowTemplate:
    """Begin a workflow that starts at its template ``pipeline``: what is its own, and what all of ours have in common.

    ``within`` is the longest that a run may take, as ``2h``; runs of one ``lock`` wait for one another, and tags in it are
    filled in first.
    """
    return WorkflowTemplate(
        name=name,
        annotations={"workflows.argoproj.io/title": title, "workflows.argoproj.io/description": description},
        entrypoint="pipeline",
        arguments=parameters,
        active_deadline_seconds=seconds(within),
        workflow_metadata=_found_by(name),
        synchronization=m.Synchronization(mutexes=[m.Mutex(name=lock)]),
        **more,
        **_pods(name),
    )


def _found_by(workflow: str) -> m.WorkflowMetadata:
    """Labels of each run to find it by: its workflow, and the values of two of its parameters."""
    sources = {USE_CASE_LABEL: "use-case", STARTED_BY_LABEL: "started-by"}
    return m.WorkflowMetadata(
        labels={WORKFLOW_LABEL: workflow},
        labels_from={
            label: m.LabelValueFrom(expression=f"workflow.parameters['{name}']") for label, name in sources.items()
        },
    )


def started_by() -> Parameter:
    """The parameter that says what started a run; whoever starts it sets it."""
    return Parameter(
        name="started-by",
        value="person",
        enum=["person", "schedule", "alert", "ci"],
        description="what started this run: a label to find it by, it changes nothing",
    )


def _pods(workflow: str) -> dict[str, Any]:
    """What each workflow of ours says of its pods and of its end: arguments of Hera's WorkflowTemplate.

    The pods fit a namespace that enforces Kubernetes' level `restricted`.
    """
    return {
        "labels": {"app.kubernetes.io/part-of": "tiphys"},
        "pod_metadata": m.Metadata(
            labels={"app.kubernetes.io/part-of": "tiphys", "app.kubernetes.io/name": workflow},
        ),
        "service_account_name": SERVICE_ACCOUNT,
        "automount_service_account_token": False,
        "executor": m.ExecutorConfig(service_account_name=EXECUTOR_ACCOUNT),
        "security_context": m.PodSecurityContext(
            run_as_non_root=True,
            run_as_user=USER,
            run_as_group=USER,
            fs_group=USER,
            seccomp_profile=m.SeccompProfile(type="RuntimeDefault"),
        ),
        "template_defaults": m.Template(
            container=m.Container(
                security_context=m.SecurityContext(
                    allow_privilege_escalation=False,
                    capabilities=m.Capabilities(drop=["ALL"]),
                    read_only_root_filesystem=True,
                ),
            ),
        ),
        "ttl_strategy": m.TTLStrategy(
            seconds_after_success=KEEP_SUCCEEDED,
            seconds_after_failure=KEEP_OTHERS,
            seconds_after_completion=KEEP_OTHERS,
        ),
        "pod_gc": m.PodGC(strategy="OnPodSuccess", delete_delay_duration="10m"),
        "archive_logs": True,
        # What a model reached production by outlives the workflow: a bucket's lifecycle rule may end it, Argo may not.
        "artifact_gc": m.WorkflowLevelArtifactGC(strategy="Never"),
    }
