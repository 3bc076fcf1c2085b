"""Contract of ``train``: what it takes, what it tells. Light to import; knows nothing of Ray, torch or MLflow."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs, told


class Inputs(StepInputs):
    """What to train on, and what to change of the use case's own training settings."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    dataset: Annotated[str, Refers("dataset")] = Field(description="dataset version: USE_CASE.TABLE@TAG")
    epochs: int | None = Field(None, ge=1, le=1000, description="most epochs to train; empty: as the use case says")
    seed: int | None = Field(None, ge=0, description="seed of every random number; empty: as the use case says")
    recent_from: str = Field(
        "",
        description="the world is another one since then, ISO 8601 by the use case's own clock: newer rows decide, older ones "
        "are brought to today's level; empty: all rows alike, the last month is the test month",
    )
    since: str = Field(
        "", description="with recent-from: rows before this moment are left out; empty: the training chooses"
    )
    half_life_days: float | None = Field(
        None,
        gt=0,
        description="with recent-from: rows from before it lose half of their weight in so many days; empty: the training chooses",
    )

    @model_validator(mode="after")
    def _moments(self) -> Self:
        for name in ("recent_from", "since"):
            try:
                text = getattr(self, name)
                datetime.fromisoformat(text or "2000-01-01")
            except ValueError as error:
                message = f"{name.replace('_', '-')} {text!r} is no moment like 2019-05-13T00:00:00"
                raise ValueError(message) from error
        if not self.recent_from and (self.since or self.half_life_days):
            message = "since and half-life-days are for a retraining: give recent-from, too"
            raise ValueError(message)
        return self


class Outputs(StepOutputs):
    """Where the trained model is, and what is known of it so far."""

    mlflow_run: Annotated[str, Refers("mlflow-run")] = Field(
        description="id of the MLflow run that holds parameters, metrics and reports"
    )
    model_uri: Annotated[str, Refers("s3-object")] = Field(
        description="the trained weights: s3://BUCKET/PREFIX/model.safetensors#sha256=DIGEST"
    )
    validation_mae: float = Field(description="mean absolute error on the validation month, in the target's unit")
    reused: bool = told(
        "whether the same inputs had been trained before, so that nothing was trained now", found="true"
    )
    window: str = Field(
        description="which rows it learnt from and how much they counted, as JSON; empty: all alike, split by months"
    )
    epochs_run: int = Field(description="epochs trained in all, those before a resume included; count")


CONTRACT = Contract(
    name="train",
    summary="Train the use case's model on Ray, tracked in MLflow, checkpointed in S3.",
    inputs=Inputs,
    outputs=Outputs,
    effects="pure",
    leaves={"last-trained": "dataset"},
    access=Access(read=("lake",), write=("checkpoints", "lake"), catalog="write", ray=True),
    resources=Resources(cpu="100m", memory="192Mi", cpu_limit="1", memory_limit="512Mi", scratch="256Mi"),
    timeout="1h",
)
