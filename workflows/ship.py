"""From a model repository that is there to production: the second half of continuous training on its own."""

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate

from components.summary.contract import CONTRACT as SUMMARY
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow
from workflows._shipping import ship, shipped

NAME = "ship"
DESCRIPTION = """\
Takes a version that was evaluated and exported before through all that stands between it and users.

`package`, `deploy`, `integration-test`, `load-test` in **staging**, `canary` and `judge` beside what serves now, then `promote`, or
`rollback` with the reason. For a version that was held up once, or is wanted again: nothing is trained anew and no test is left out.
"""
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="use case: a folder of usecases/"),
    Parameter(name="model-version", description="registered version, models:/USE_CASE/N; must be given"),
    Parameter(
        name="repository",
        description="its Triton model repository, s3://models/USE_CASE/N-WEIGHTS-MANIFEST/; must be given",
    ),
    Parameter(name="manifest-sha256", description="sha256 of the repository's manifest.json; must be given"),
    Parameter(
        name="dataset",
        description="dataset version that the canary's riders take their rides from, USE_CASE.TABLE@TAG; must be given",
    ),
    Parameter(
        name="mlflow-run", description="MLflow run that trained it, which the load test's report joins; must be given"
    ),
    Parameter(
        name="window",
        value="",
        description="window that it was trained with, as train told it: the riders take the newest rides; empty: the last month's",
    ),
    started_by(),
]
_MODEL = ("model-version", "repository", "manifest-sha256", "dataset", "window", "mlflow-run")


def pipeline() -> WorkflowTemplate:
    """Render the DAG."""
    lock = f"use-case-{given('use-case')}"  # staging and the canary are the use case's own, as in a training
    with workflow(NAME, "Ship", DESCRIPTION, PARAMETERS, within="2h", lock=lock, on_exit="finish") as made:
        with DAG(name="pipeline"):
            ship({name: given(name) for name in _MODEL}, {})
        with DAG(name="finish"):
            Task(name="summary", template=template(SUMMARY), arguments=_summary())
    return made


def _summary() -> dict[str, str]:
    return {**shipped(), **{name: given(name) for name in ("use-case", "dataset", "mlflow-run", "model-version")}}
