"""Back to what production served before: a release like any other, by hand or by an alert."""

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate

from components.rollback.contract import CONTRACT as ROLLBACK
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow

NAME = "rollback"
DESCRIPTION = "Takes production back to the release before: image, manifest, features and passport together, and ends the canary's traffic."
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="use case: a folder of usecases/"),
    Parameter(name="reasons", description="why, for the record; must be given"),
    Parameter(
        name="leaving",
        value="0",
        description="generation of production to go back from, so that two alerts go back once; 0: whatever serves",
    ),
    started_by(),
]


def pipeline() -> WorkflowTemplate:
    """Render the DAG of one step."""
    with (
        # Not the lock of a training: that one may run for hours, and its own canary notices who overtakes it.
        workflow(
            NAME, "Roll back", DESCRIPTION, PARAMETERS, within="30m", lock=f"production-{given('use-case')}"
        ) as made,
        DAG(name="pipeline"),
    ):
        Task(
            name="rollback",
            template=template(ROLLBACK),
            arguments={
                **{name: given(name) for name in ("use-case", "reasons", "leaving")},
                "asked-by": given("started-by"),
                "environment": "production",
            },
        )
    return made
