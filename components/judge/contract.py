"""Contract of ``judge``: what it takes, what it tells."""

from __future__ import annotations

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which candidate, and what its canary came to."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    model_version: str = Field(description="registered version: models:/USE_CASE/N")
    manifest_sha256: str = Field(description="sha256 of the repository's manifest.json: whose evidence is weighed")
    canary_verdict: str = Field(
        description="what the canary came to: promote, rollback, not_enough, already in production"
    )
    canary_reasons: str = Field("", description="why, in plain words")
    asked_by: str = Field("", description="who or what asked for this run, for the record")


class Outputs(StepOutputs):
    """The judgement."""

    verdict: str = Field(description="promote or rollback")
    reasons: str = Field(description="why, in plain words with figures")


CONTRACT = Contract(
    name="judge",
    summary="Weigh all evidence of the candidate: promote it, or roll it back and say why.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(ledger="evidence"),
    resources=Resources(cpu="200m", memory="128Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="2m",
)
