"""A whole table through a model, in Spark: a dataset version or files in, a version of the table of answers out."""

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate

from components.batch_score.contract import CONTRACT as BATCH_SCORE
from components.summary.contract import CONTRACT as SUMMARY
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow

NAME = "batch-scoring"
DESCRIPTION = (
    "Scores a dataset version, or files of questions in S3, with a registered model or with the one that production serves. "
    "The answers are a version of the table USE_CASE.predictions; rows without an answer are in its rejects, each with a reason."
)
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="whose rows and whose model: a folder of usecases/"),
    Parameter(
        name="dataset",
        value="",
        description="dataset version to score, USE_CASE.TABLE@TAG; empty, and no source: the one that was trained on last",
    ),
    Parameter(
        name="source",
        value="",
        description="files to score instead: s3://BUCKET/PREFIX/. From a laptop `--upload source=FOLDER` makes one",
    ),
    Parameter(name="first-month", value="", description="first month of the dataset to score, as 2018-01; empty: all"),
    Parameter(name="last-month", value="", description="last month of the dataset to score; empty: all"),
    Parameter(
        name="model-version",
        value="",
        description="registered version, models:/USE_CASE/N; empty: what production serves",
    ),
    started_by(),
]


def told(name: str) -> str:
    """Refer to what the step has told so far: its exported output."""
    return f"{{{{workflow.outputs.parameters.batch-score-{name}}}}}"


def pipeline() -> WorkflowTemplate:
    """Render the DAG."""
    asked = ("use-case", "dataset", "source", "first-month", "last-month", "model-version")
    lock = (
        f"batch-scoring-{given('use-case')}"  # the table of answers is the use case's own; training may go on meanwhile
    )
    with workflow(NAME, "Batch scoring", DESCRIPTION, PARAMETERS, within="5h", lock=lock, on_exit="finish") as made:
        with DAG(name="pipeline"):
            Task(name="batch-score", template=template(BATCH_SCORE), arguments={name: given(name) for name in asked})
        with DAG(name="finish"):
            Task(name="summary", template=template(SUMMARY), arguments=_summary())
    return made


def _summary() -> dict[str, str]:
    return {
        "kind": "scoring",
        "use-case": given("use-case"),
        "status": "{{workflow.status}}",
        "duration": "{{workflow.duration}}",
        "failures": "{{workflow.failures}}",
        "dataset": told("scored"),
        "model-version": told("model-version"),
        "predictions": told("predictions"),
        "rows-scored": told("rows-scored"),
        "rows-rejected": told("rows-rejected"),
        "scored-now": told("computed"),
    }
