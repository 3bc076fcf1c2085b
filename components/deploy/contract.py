"""Contract of ``deploy``: what it takes, what it tells."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """What to release, and where."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    repository: str = Field(description="Triton model repository: s3://models/USE_CASE/N-WEIGHTS-MANIFEST/")
    manifest_sha256: str = Field(description="sha256 of the repository's manifest.json")
    image: str = Field(description="image with that repository, by digest: what will be served")
    model_version: str = Field(description="registered version: models:/USE_CASE/N")
    environment: Literal["staging"] = Field("staging", description="environment; production is written by promote only")
    wait_s: int = Field(120, ge=1, le=3600, description="longest wait until the model serves, in seconds")
    dataset: str = Field("", description="dataset version that it was trained and evaluated on, for the record")
    mlflow_run: str = Field("", description="MLflow run that trained it, for the record")
    model_uri: str = Field("", description="its weights: s3://...#sha256=DIGEST, for the record")
    metrics: str = Field("", description="what evaluate found, as JSON; empty: no evidence of an evaluation is left")
    gates: str = Field("[]", description="each gate with value, limit and outcome, as JSON")
    gate_verdict: str = Field("", description="what evaluate said: passed, or what was missed")
    kind: str = Field("", description="what was registered: network, or which candidate was better")
    candidates: str = Field("[]", description="all that could have been registered with their errors, as JSON")
    window: str = Field(
        "", description="which rows it learnt from and was judged on after a change, as JSON; for the record"
    )
    champion: str = Field("", description="which version it had to beat, for the record")
    variant: str = Field("", description="which variant was exported; empty: no evidence of an export is left")
    variant_why: str = Field("", description="why that one")
    variants: str = Field("[]", description="all variants with their figures, as JSON")
    max_difference: float | None = Field(
        None, description="largest difference of the exported model's answers and PyTorch's, target's unit"
    )
    rows_compared: int | None = Field(None, description="real rows that both were asked; count")
    coverage: float | None = Field(None, description="share of held-out truths within their intervals, 0..1")
    interval_width: float | None = Field(None, description="median width of those intervals, target's unit")
    asked_by: str = Field("", description="who or what asked for this run, for the record")


class Outputs(StepOutputs):
    """What serves now."""

    generation: int = Field(description="generation of the release in its environment")
    serving: str = Field(description="model and version that the environment answers with")


CONTRACT = Contract(
    name="deploy",
    summary="Release the model into staging with what was found out about it so far, and wait until it serves.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(ledger="staging"),
    resources=Resources(cpu="200m", memory="128Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="10m",
)
