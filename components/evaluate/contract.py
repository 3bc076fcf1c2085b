"""Contract of ``evaluate``: what it takes, what it tells. Light to import; knows nothing of torch or MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs, artifact


class Inputs(StepInputs):
    """Which model to judge, on which data."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    dataset: Annotated[str, Refers("dataset")] = Field(
        description="dataset version: USE_CASE.TABLE@TAG; its last month is the test month"
    )
    model_uri: Annotated[str, Refers("s3-object")] = Field(
        description="the trained weights: s3://BUCKET/PREFIX/model.safetensors#sha256=DIGEST"
    )
    mlflow_run: Annotated[str, Refers("mlflow-run")] = Field(description="id of the MLflow run that trained it")
    window: str = Field(
        "", description="what train told as window: the newest rows are the test rows; empty: the last month is"
    )
    champion: Annotated[str, Refers("model")] = Field(
        "",
        description="version to beat, models:/USE_CASE/N or models:/USE_CASE@production (nobody, where that alias names "
        "none); empty: nobody",
    )
    holdout: str = Field(
        "",
        pattern=r"^\d*$",
        description="snapshot of the live table labelled whose trusted rows no training sees: a candidate must not be worse "
        "on them than the champion; empty: none",
    )


class Outputs(StepOutputs):
    """The figures, the verdict, and the registered version if it passed."""

    mae: float = Field(description="mean absolute error on the test month, in the target's unit")
    status_quo_mae: float = Field(description="the status quo's on the same rows")
    metrics: str = Field(description="all figures as one JSON object, dotted names as the gates use them")
    gates: str = Field(description="each gate as JSON: metric, value, compare, limit, outcome, reason")
    verdict: str = Field(description="passed, or which gates were missed, with figures")
    model_version: Annotated[str, Refers("model")] = Field(
        description="models:/USE_CASE/N; empty when the gate was missed"
    )
    kind: str = Field(
        description="what was judged in the end: network, or the candidate of the use case that passed and was better"
    )
    candidates: str = Field(
        description="where a champion was to be beaten, all that could have been registered as JSON: name, errors, what became "
        "of it"
    )
    shortlist: str = Field(
        description="all that passed every gate, best first, as JSON: name, model_version, metrics, gates; the first is model-version"
    )
    beaten: str = Field(description="which version it had to beat, as models:/USE_CASE/N; empty: nobody")
    report: Path = artifact("evaluation.html", "the evaluation as a page: figures, gates, slices, plots")


CONTRACT = Contract(
    name="evaluate",
    summary="Compare the model with its baselines on the test month; register it if it passes every gate.",
    inputs=Inputs,
    outputs=Outputs,
    effects="pure",
    access=Access(read=("lake", "checkpoints"), catalog="read"),
    resources=Resources(cpu="1", memory="1280Mi", cpu_limit="2", memory_limit="3Gi", scratch="256Mi"),
    timeout="20m",
)
