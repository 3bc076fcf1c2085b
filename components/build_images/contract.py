"""Contract of ``build-images``: what it takes, what it tells."""

from __future__ import annotations

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which code, and which of its images."""

    source: str = Field(description="the code as a git bundle: s3://landing/source/COMMIT.bundle")
    commit: str = Field(description="commit that must be in it; all digits")
    images: str = Field("all", description="names of images, with spaces: gateway ledger ...; light; or all")


class Outputs(StepOutputs):
    """What the images are called."""

    images: dict[str, str] = Field(description="name of each image -> the image by digest")


CONTRACT = Contract(
    name="build_images",
    summary="Build the images of a git revision, those that changed, and push them by digest.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(read=("landing",), registry="push", outside=True),
    resources=Resources(cpu="1", memory="2Gi", memory_limit="4Gi", scratch="32Gi"),
    timeout="2h",
    retries=1,
    root="buildah mounts the image's files and runs its installers as the users of the image",
)
