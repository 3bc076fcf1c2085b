"""Contract of ``checkout``: what it takes, what it tells."""

from __future__ import annotations

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which code."""

    repository: str = Field(
        description="git repository: https://..., file:///... or an absolute path that the step sees"
    )
    revision: str = Field("main", description="branch, tag, or all digits of a commit")


class Outputs(StepOutputs):
    """The code as the next steps find it."""

    commit: str = Field(description="the commit that the revision is now; all digits")
    source: str = Field(description="that commit with its history, as a git bundle: s3://landing/source/COMMIT.bundle")


CONTRACT = Contract(
    name="checkout",
    summary="Fetch a git revision of the code.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(write=("landing",), outside=True),
    resources=Resources(cpu="200m", memory="192Mi", cpu_limit="1", memory_limit="512Mi", scratch="1Gi"),
    timeout="10m",
)
