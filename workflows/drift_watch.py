"""The regular look at what serves: collect what came of live answers, then hold it against what the model was made from."""

from hera.workflows import DAG, CronWorkflow, Parameter, Task, WorkflowTemplate
from hera.workflows import models as m

from components.collect_outcomes.contract import CONTRACT as COLLECT_OUTCOMES
from components.monitor.contract import CONTRACT as MONITOR
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow

NAME = "drift-watch"
HOURLY = "17 * * * *"
"""Off the full hour, when everybody else's schedules fire."""
DEADLINE = 1800
DESCRIPTION = """\
Looks whether the world is still the one that the serving model was made for.

1. `collect-outcomes`: what the gateway logged becomes rows, joined with what really happened
2. `monitor`: data, answers, errors, calibration and volume are tested; what alarms goes to the governor as a signed event

Whether an alarm starts a training is the governor's decision: `tiphys events list` shows it with its reason.
"""
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="what to look at: a folder of usecases/"),
    Parameter(
        name="since",
        value="",
        description="first moment of the window by the use case's own clock, like 2019-01-07T06:00; empty: window-days before its end",
    ),
    Parameter(
        name="until",
        value="",
        description="moment after the window's last; empty: what the newest questions are about",
    ),
    Parameter(name="window-days", value="7", description="length of the window where `since` is empty, in days"),
    started_by(),
]


def pipeline() -> list[WorkflowTemplate | CronWorkflow]:
    """Render the template and its schedule, which is suspended until somebody resumes it, as every schedule of ours."""
    use_case = {"use-case": given("use-case")}
    lock = f"drift-watch-{given('use-case')}"  # the sequential tests go on from the last look
    with (
        workflow(NAME, "Drift watch", DESCRIPTION, PARAMETERS, within="2h", lock=lock) as made,
        DAG(name="pipeline"),
    ):
        collect = Task(name="collect-outcomes", template=template(COLLECT_OUTCOMES), arguments=use_case)
        window = {name: given(name) for name in ("since", "until", "window-days")}
        snapshots = {
            "predictions-snapshot": collect.get_parameter("predictions-snapshot"),
            "labelled-snapshot": collect.get_parameter("labelled-snapshot"),
        }
        watch = Task(name="monitor", template=template(MONITOR), arguments={**use_case, **window, **snapshots})
        collect.next(watch)
    schedule = CronWorkflow(
        name=NAME,
        schedules=[HOURLY],
        timezone="UTC",
        concurrency_policy="Forbid",
        starting_deadline_seconds=DEADLINE,
        cron_suspend=True,
        labels={"app.kubernetes.io/part-of": "tiphys"},
        annotations={
            "workflows.argoproj.io/title": "Hourly drift watch",
            "workflows.argoproj.io/description": "Looks every hour, once it is resumed: `tiphys cron resume drift-watch`.",
        },
        workflow_template_ref=m.WorkflowTemplateRef(name=NAME),
        arguments=[Parameter(name="started-by", value="schedule", description="what started this run: the clock")],
    )
    return [made, schedule]
