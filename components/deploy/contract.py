"""Contract of ``deploy``: what it takes, what it tells."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """What to release, and where."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    repository: str = Field(description="Triton model repository: s3://models/USE_CASE/N-DIGEST/")
    manifest_sha256: str = Field(description="sha256 of the repository's manifest.json")
    image: str = Field(description="image with that repository, by digest: what will be served")
    model_version: str = Field(description="registered version: models:/USE_CASE/N")
    environment: Literal["staging"] = Field("staging", description="environment; production is written by promote only")
    wait_s: int = Field(120, ge=1, le=3600, description="longest wait until the model serves, in seconds")


class Outputs(StepOutputs):
    """What serves now."""

    generation: int = Field(description="generation of the release in its environment")
    serving: str = Field(description="model and version that the environment answers with")


CONTRACT = Contract(
    name="deploy",
    summary="Release the model into staging and wait until it serves.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(ledger="staging"),
    resources=Resources(cpu="200m", memory="128Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="10m",
)
