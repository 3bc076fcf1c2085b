"""Contract of ``request_training``: what it takes, what it tells."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """What shall be trained, and why."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    reason: str = Field(min_length=1, max_length=500, description="why, for the record")
    wait_s: int = Field(60, ge=0, le=3600, description="longest wait for the governor's decision, in s")


class Outputs(StepOutputs):
    """What the governor decided. A no is an answer: the step succeeds."""

    event: str = Field(description="id of the request at the governor: 'tiphys events why ID'")
    verdict: str = Field(description="yes, no, or wait: not decided yet")
    why: str = Field(description="the governor's reason, in plain words")
    training: str = Field(description="the run that a yes starts; empty otherwise")


CONTRACT = Contract(
    name="request_training",
    summary="Ask the governor for a training, as a schedule does.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(governor="schedule"),
    resources=Resources(cpu="100m", memory="128Mi", cpu_limit="1", memory_limit="256Mi"),
    timeout="70m",
)
