"""Contract of ``claim_training``: what it takes, what it tells."""

from __future__ import annotations

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """What this run was started with."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    source: str = Field(description="raw files that it trains on: s3://BUCKET/PREFIX/")
    recent_from: str = Field(
        "", description="since when the world is another, by the use case's own clock; empty: it is not"
    )
    champion: str = Field("", description="version to beat; empty: nobody")
    started_by: str = Field(description="alert, schedule or person")
    uid: str = Field(min_length=1, max_length=100, description="the run's own id: another run of its name has another")


class Outputs(StepOutputs):
    """Whose yes it was."""

    event: str = Field(description="id of the event at the governor: 'tiphys events why ID'")
    why: str = Field(description="the governor's reason for its yes, in plain words")


CONTRACT = Contract(
    name="claim_training",
    summary="Show that a yes of the governor started this run, with these parameters, and no other run.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(governor="claim"),
    resources=Resources(cpu="100m", memory="128Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="5m",
)
