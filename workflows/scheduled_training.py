"""A training asked for by the clock: it passes the same door as an alert, and the governor may say no."""

from hera.workflows import DAG, CronWorkflow, Parameter, Task, WorkflowTemplate
from hera.workflows import models as m

from components.request_training.contract import CONTRACT as REQUEST_TRAINING
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow

NAME = "scheduled-training"
WEEKLY = "0 8 * * 1"
"""Mondays at eight, UTC: the week that ended is labelled."""
DEADLINE = 6 * 3600
DESCRIPTION = (
    "Asks the governor for a training. It decides as for an alert: no training in flight, cool-down over, room in the budget. "
    "A yes starts `continuous-training`."
)
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="what to train: a folder of usecases/"),
    Parameter(name="reason", value="the week's training", description="why, for the record"),
    started_by(),
]


def pipeline() -> list[WorkflowTemplate | CronWorkflow]:
    """Render the template of one step, and the schedule.

    The schedule is suspended until somebody resumes it: a laptop must not train because it was on, and what a cluster
    spends each week is for its operator to say.
    """
    with (
        workflow(
            NAME,
            "Scheduled training",
            DESCRIPTION,
            PARAMETERS,
            within="2h",
            lock=f"request-training-{given('use-case')}",
        ) as made,
        DAG(name="pipeline"),
    ):
        asked = {name: given(name) for name in ("use-case", "reason")}
        Task(name="request-training", template=template(REQUEST_TRAINING), arguments=asked)
    schedule = CronWorkflow(
        name=NAME,
        schedules=[WEEKLY],
        timezone="UTC",
        concurrency_policy="Forbid",
        starting_deadline_seconds=DEADLINE,
        cron_suspend=True,
        labels={"app.kubernetes.io/part-of": "tiphys"},
        annotations={
            "workflows.argoproj.io/title": "Weekly request for a training",
            "workflows.argoproj.io/description": "Asks the governor every Monday, once it is resumed: `tiphys cron resume scheduled-training`.",
        },
        workflow_template_ref=m.WorkflowTemplateRef(name=NAME),
        arguments=[Parameter(name="started-by", value="schedule", description="what started this run: the clock")],
    )
    return [made, schedule]
