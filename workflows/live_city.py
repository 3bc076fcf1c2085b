"""The artificial world before the gateway for a while, as a run like any other."""

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate

from components.simulate.contract import CONTRACT as SIMULATE
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow

NAME = "live-city"
DESCRIPTION = (
    "Lets the use case's artificial world live: people ask the gateway, and report what came of it when it is known, on a clock "
    "that may run fast. Something may happen to it: a scenario of the use case."
)
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="whose world: a folder of usecases/"),
    Parameter(name="start", value="2019-07-01T00:00:00", description="where its own clock begins"),
    Parameter(name="hours", value="24", description="how long it lives, in hours of its own clock"),
    Parameter(name="rate", value="100", description="mean number of rides an hour of its own clock"),
    Parameter(
        name="questions",
        value="0",
        description="it ends after so many questions, if that is sooner; 0: after the hours",
    ),
    Parameter(
        name="speed",
        value="0",
        description="how many times faster its clock runs than ours; 0: as fast as the gateway answers",
    ),
    Parameter(name="seed", value="1", description="chance; files of `tiphys simulate --seed` are of the same city"),
    Parameter(name="scenario", value="", description="what happens to it, by its name in the use case's scenarios.py"),
    Parameter(name="scenario-from", value="", description="from when on, by its own clock; empty: from the start"),
    Parameter(
        name="source",
        value="",
        description="real rides instead: s3://BUCKET/PREFIX/ of raw files. From a laptop `--upload source=FOLDER` makes one",
    ),
    started_by(),
]
_ASKED = (
    "use-case", "start", "hours", "rate", "questions", "speed", "seed", "scenario", "scenario-from", "source",
)  # fmt: skip


def pipeline() -> WorkflowTemplate:
    """Render the DAG of one step."""
    with (
        workflow(
            NAME, "Live city", DESCRIPTION, PARAMETERS, within="25h", lock=f"live-city-{given('use-case')}"
        ) as made,
        DAG(name="pipeline"),
    ):
        Task(name="simulate", template=template(SIMULATE), arguments={name: given(name) for name in _ASKED})
    return made
