"""Contract of ``deploy-service``: what it takes, what it tells."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which images, and where they are to run."""

    commit: str = Field(description="git commit that the images were built from; all digits")
    images: dict[str, str] = Field(description="name of each image -> the image by digest")
    use_case: str = Field("taxi_eta", description="use case whose question the gateway is asked")
    environment: Literal["staging"] = Field("staging", description="environment; production takes what staging ran")
    wait_s: int = Field(60, ge=1, le=600, description="longest wait until the gateway answers, in seconds")


class Outputs(StepOutputs):
    """What staging is to run."""

    generation: int = Field(description="generation of the services' release in its environment")
    proven: str = Field(description="what was started from its image and asked; empty where no container can be run")


CONTRACT = Contract(
    name="deploy_service",
    summary="Start the gateway from its image by digest and ask it; release the images into staging.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(ledger="staging", registry="pull"),
    resources=Resources(cpu="200m", memory="192Mi", cpu_limit="1", memory_limit="512Mi", scratch="64Mi"),
    timeout="15m",
)
