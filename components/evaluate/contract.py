"""Contract of ``evaluate``: what it takes, what it tells. Light to import; knows nothing of torch or MLflow."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs, artifact


class Inputs(StepInputs):
    """Which model to judge, on which data."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    dataset: str = Field(description="dataset version: USE_CASE.TABLE@TAG; its last month is the test month")
    model_uri: str = Field(description="the trained weights: s3://BUCKET/PREFIX/model.safetensors#sha256=DIGEST")
    mlflow_run: str = Field(description="id of the MLflow run that trained it")


class Outputs(StepOutputs):
    """The figures, the verdict, and the registered version if it passed."""

    mae: float = Field(description="mean absolute error on the test month, in the target's unit")
    status_quo_mae: float = Field(description="the status quo's on the same rows")
    metrics: str = Field(description="all figures as one JSON object, dotted names as the gates use them")
    verdict: str = Field(description="passed, or which gates were missed, with figures")
    model_version: str = Field(description="models:/USE_CASE/N; empty when the gate was missed")
    report: Path = artifact("evaluation.html", "the evaluation as a page: figures, gates, slices, plots")


CONTRACT = Contract(
    name="evaluate",
    summary="Compare the model with its baselines on the test month; register it if it passes every gate.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(read=("lake", "checkpoints"), catalog="read"),
    resources=Resources(cpu="1", memory="1280Mi", cpu_limit="2", memory_limit="3Gi", scratch="256Mi"),
    timeout="20m",
)
