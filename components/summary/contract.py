"""What the summary takes: the run's end, and whatever its steps got to say before it."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from tiphys.step import Contract, Resources, StepInputs, StepOutputs, artifact


class Inputs(StepInputs):
    """A figure is None when its step did not get that far: Argo then leaves the tag in the text."""

    kind: Literal["training", "scoring"] = Field("training", description="what the run was for")
    status: str = Field(description="phase of the run: Succeeded, Failed or Error")
    duration: float = Field(description="seconds since the run started")
    failures: str = Field("", description="what failed, as Argo's JSON")
    use_case: str = Field(description="name of the use case")
    dataset: str | None = Field(None, description="dataset version the run trained on")
    rows_in: int | None = Field(None, description="rows read from the raw files")
    rows_kept: int | None = Field(None, description="rows kept")
    rows_rejected: int | None = Field(None, description="rows quarantined with a reason")
    months: int | None = Field(None, description="months of the dataset version")
    months_computed: int | None = Field(None, description="months that were computed, not found")
    train_reused: bool | None = Field(None, description="whether the training was found, not done")
    mlflow_run: str | None = Field(None, description="MLflow run id of the training")
    metrics: dict[str, Any] | None = Field(None, description="the evaluation's figures, by dotted name")
    verdict: str | None = Field(None, description="what the gate said of the model")
    model_version: str | None = Field(None, description="registered version: models:/NAME/NUMBER")
    exported_version: str | None = Field(None, description="the version that was exported, where it got that far")
    exported_metrics: dict[str, Any] | None = Field(None, description="its figures, by dotted name")
    candidates: list[dict[str, Any]] | None = Field(
        None, description="all that could have been registered, with what became of each"
    )
    image: str | None = Field(None, description="image of the model, by digest")
    p50_ms: float | None = Field(None, description="median latency under load, ms")
    p95_ms: float | None = Field(None, description="95th percentile of latency under load, ms")
    p99_ms: float | None = Field(None, description="99th percentile of latency under load, ms")
    rate: float | None = Field(None, description="requests a second that were answered")
    errors: int | None = Field(None, description="requests that failed under load")
    staging: str | None = Field(None, description="what staging serves")
    canary: str | None = Field(None, description="what the canary came to")
    canary_answers: int | None = Field(None, description="questions that artificial riders asked it; count")
    canary_reasons: str | None = Field(None, description="why it came to that")
    judgement: str | None = Field(None, description="promote or rollback")
    production: str | None = Field(None, description="what production serves")
    kept: str | None = Field(None, description="what production goes on serving after a refusal")
    passport: str | None = Field(None, description="sha256 of the passport that the release into production carries")
    predictions: str | None = Field(None, description="version of the table of answers that scoring left")
    rows_scored: int | None = Field(None, description="rows that the model answered")
    scored_now: bool | None = Field(None, description="whether they were scored by this run, not found")

    @model_validator(mode="before")
    @classmethod
    def _absent(cls, data: Any) -> Any:
        """Drop values that Argo left as tags."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if not str(value).startswith("{{")}


class Outputs(StepOutputs):
    """The table, for a person and for a program."""

    text: str = Field(description="the table as plain text")
    record: Path = artifact("summary.json", "the same as JSON")


CONTRACT = Contract(
    name="summary",
    summary="Sum up the run: data, model, gate, load test, canary, and what serves where.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    resources=Resources(cpu="500m", memory="128Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="2m",
)
