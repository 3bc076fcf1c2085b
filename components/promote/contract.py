"""Contract of ``promote``: what it takes, what it tells."""

from __future__ import annotations

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which release of staging was tested."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    staging_generation: int = Field(
        0, ge=0, description="generation of staging that was tested, no other is promoted; 0: what staging serves now"
    )
    wait_s: int = Field(120, ge=1, le=3600, description="longest wait until the model serves, in seconds")
    canary_verdict: str = Field(
        "",
        description="what the canary of this run came to; empty: a person asks, who may bring back what was rolled back",
    )
    reasons: str = Field("", description="why, for the record")
    asked_by: str = Field("", description="who or what asked for it, for the record and the passport")


class Outputs(StepOutputs):
    """What serves now."""

    generation: int = Field(description="generation of the release in production")
    serving: str = Field(description="model and version that production answers with")
    passport: str = Field(description="sha256 of the passport that the release carries")
    changed: bool = Field(description="false: production served that very image before, and nothing was written")


CONTRACT = Contract(
    name="promote",
    summary="Release into production exactly what staging serves, if all evidence of it holds.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(ledger="production", gateway="tester", signs=True),
    resources=Resources(cpu="200m", memory="128Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="10m",
)
