"""Contract of ``promote``: what it takes, what it tells."""

from __future__ import annotations

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which release of staging was tested."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    staging_generation: int = Field(ge=1, description="generation of staging that was tested; no other is promoted")
    wait_s: int = Field(120, ge=1, le=3600, description="longest wait until the model serves, in seconds")


class Outputs(StepOutputs):
    """What serves now."""

    generation: int = Field(description="generation of the release in production")
    serving: str = Field(description="model and version that production answers with")


CONTRACT = Contract(
    name="promote",
    summary="Release into production exactly what staging serves and was tested.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(ledger="production"),
    resources=Resources(cpu="200m", memory="128Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="10m",
)
