"""Contract of ``rollback``: what it takes, what it tells."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """What goes back, and why."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    environment: Literal["canary", "production"] = Field(
        "production",
        description="production: serves again what it served before; canary: loses its traffic, and the step fails, because "
        "a candidate was refused",
    )
    reasons: str = Field(description="why, for the record")
    leaving: int = Field(
        0,
        ge=0,
        description="generation of production to go back from: if production has left it, nothing is done; 0: whatever serves",
    )
    wait_s: int = Field(120, ge=1, le=3600, description="longest wait until the earlier model serves, in s")
    asked_by: str = Field("", description="who or what asked for it, for the record")


class Outputs(StepOutputs):
    """What serves now."""

    generation: int = Field(
        description="generation of the release that went back; 0: there was no traffic to take away"
    )
    serving: str = Field(description="model and version that production answers with; empty if there is none")


CONTRACT = Contract(
    name="rollback",
    summary="Take a refused candidate out of traffic, or production back to what it served before.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(ledger="production", gateway="tester"),
    resources=Resources(cpu="200m", memory="128Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="10m",
)
