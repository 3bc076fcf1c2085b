"""Contract of ``integration-test``: what it takes, what it tells."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs, artifact


class Inputs(StepInputs):
    """What staging should answer with."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    repository: str = Field(
        description="Triton model repository with the model's own answers: s3://models/USE_CASE/N-WEIGHTS-MANIFEST/"
    )
    manifest_sha256: str = Field(description="sha256 of the repository's manifest.json")
    image: str = Field(description="image by digest that staging must have taken the model from")
    model_version: str = Field(description="registered version that must answer: models:/USE_CASE/N")
    asked_by: str = Field("", description="who or what asked for this run, for the record")
    tolerance: float = Field(
        1e-3, gt=0, le=0.01, description="most that an answer may differ from the model's own, as a share of it"
    )


class Outputs(StepOutputs):
    """What was checked."""

    checks: int = Field(description="checks that held; count")
    report: Path = artifact("integration-test.json", "every check with what was asked, expected and found")


CONTRACT = Contract(
    name="integration_test",
    summary="Ask staging over HTTP, gRPC and the gateway: right answers to known rows, clear errors to wrong ones.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(read=("models",), ledger="evidence", gateway="tester"),
    resources=Resources(cpu="500m", memory="192Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="5m",
)
