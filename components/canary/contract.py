"""Contract of ``canary``: what it takes, what it tells. Whose questions are asked stands in the use case's personas.py."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs, artifact, measured


class Inputs(StepInputs):
    """Which candidate, whom it meets, and for how long at most."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    dataset: str = Field(
        description="dataset version: USE_CASE.TABLE@TAG; the artificial riders' rides are of its last month"
    )
    window: str = Field(
        "", description="what train told as window: their rides are the newest since the world changed; empty: as above"
    )
    staging_generation: int = Field(
        ge=0, description="generation of staging that was tested; 0: what staging serves now"
    )
    rides: int = Field(400, ge=100, le=100_000, description="rides that artificial riders ask about at most; count")
    rate: float = Field(60.0, gt=0, le=1000, description="rides a second that are asked about")
    riders: int = Field(4, ge=1, le=64, description="artificial riders at once; count")
    deadline_s: int = Field(
        120, ge=5, le=24 * 3600, description="longest time until the verdict, in s; then none is a no"
    )
    share: float = Field(0.05, ge=0, le=0.5, description="share of the live askers who get the candidate, 0..1")
    shadow: float = Field(
        0.1, ge=0, le=1, description="share of the live questions that the candidate is asked without being heard, 0..1"
    )
    lease_s: int = Field(
        60, ge=4, le=3600, description="how long its traffic goes on if this step dies, in s; prolonged while it lives"
    )
    wait_s: int = Field(120, ge=1, le=3600, description="longest wait until the candidate serves, in s")
    asked_by: str = Field("", description="who or what asked for this run, for the record")


class Outputs(StepOutputs):
    """What was found."""

    verdict: str = Field(
        description="promote, rollback, not_enough (which is a refusal, too), or 'already in production'"
    )
    reasons: str = Field(description="why, in plain words with figures; each ends with a semicolon but the last")
    answers: int = measured("questions that the candidate was asked by artificial riders; count")
    seconds: float = measured("time from the first question to the verdict, in s")
    report: Path = artifact("canary.html", "the comparison over time, with each measure's interval", measured=True)
    figures: Path = artifact("canary.json", "the same figures for a program", measured=True)


CONTRACT = Contract(
    name="canary",
    summary="Put the tested candidate beside production, ask both, and judge it as the answers come in.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(read=("lake",), catalog="read", ledger="canary", gateway="admin"),
    resources=Resources(cpu="500m", memory="384Mi", cpu_limit="2", memory_limit="1Gi"),
    timeout="30m",
)
