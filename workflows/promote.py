"""Into production, by hand: the last step of continuous training on its own."""

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate

from components.promote.contract import CONTRACT as PROMOTE
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow

NAME = "promote"
DESCRIPTION = "Releases into production what staging serves now, if the ledger has evidence of every kind for it (evaluation, export, integration test, load test, canary, judgement) and all of it holds; signs its passport."
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="use case: a folder of usecases/"),
    Parameter(
        name="staging-generation", value="0", description="generation of staging to promote; 0: what it serves now"
    ),
    Parameter(name="reasons", value="", description="why, for the record"),
    started_by(),
]


def pipeline() -> WorkflowTemplate:
    """Render the DAG of one step."""
    with (
        # Not the lock of a training: that one may run for hours, and its own canary notices who overtakes it.
        workflow(
            NAME, "Promote", DESCRIPTION, PARAMETERS, within="30m", lock=f"production-{given('use-case')}"
        ) as made,
        DAG(name="pipeline"),
    ):
        Task(
            name="promote",
            template=template(PROMOTE),
            arguments={
                **{name: given(name) for name in ("use-case", "staging-generation", "reasons")},
                "asked-by": given("started-by"),
            },
        )
    return made
