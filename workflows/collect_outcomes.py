"""Live answers and outcomes into the lake: what labels rows, what is trained on, what the holdout is."""

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate

from components.collect_outcomes.contract import CONTRACT as COLLECT_OUTCOMES
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow

NAME = "collect-outcomes"
DESCRIPTION = (
    "Takes what the gateway logged (answers, and the outcomes that were reported) from S3 into the lake, exactly once, joins the "
    "two, and exports what may be trained on. Run it as often as you like: it takes what is new, and ends."
)
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="whose live data: a folder of usecases/"),
    Parameter(
        name="trusted",
        value="auditor",
        description="names of the gateway's keys that are the operator's own meters, with commas: their reports are the holdout",
    ),
    Parameter(
        name="unknown-after-s",
        value="3600",
        description="seconds after which a report on an answer that never landed is given up",
    ),
    started_by(),
]


def pipeline() -> WorkflowTemplate:
    """Render the DAG."""
    asked = ("use-case", "trusted", "unknown-after-s")
    lock = (
        f"collect-outcomes-{given('use-case')}"  # the live tables are the use case's own; training may go on meanwhile
    )
    with (
        workflow(NAME, "Collect outcomes", DESCRIPTION, PARAMETERS, within="2h", lock=lock) as made,
        DAG(name="pipeline"),
    ):
        Task(
            name="collect-outcomes",
            template=template(COLLECT_OUTCOMES),
            arguments={name: given(name) for name in asked},
        )
    return made
