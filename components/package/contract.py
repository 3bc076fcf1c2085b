"""Contract of ``package``: what it takes, what it tells."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which model repository to put into an image, and what its labels say."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    repository: Annotated[str, Refers("s3-prefix")] = Field(
        description="Triton model repository: s3://models/USE_CASE/N-WEIGHTS-MANIFEST/"
    )
    manifest_sha256: str = Field(description="sha256 of the repository's manifest.json")
    model_version: Annotated[str, Refers("model")] = Field(description="registered version: models:/USE_CASE/N")
    dataset: Annotated[str, Refers("dataset")] = Field(
        description="dataset version that it was trained on: USE_CASE.TABLE@TAG"
    )


class Outputs(StepOutputs):
    """What the image is called, wherever it lies."""

    image: Annotated[str, Refers("image")] = Field(
        description="the image by digest: HOST/PATH@sha256:..., or s3://...@sha256:... without a registry"
    )
    digest: str = Field(description="digest of the image's manifest: sha256:...")
    bytes: int = Field(description="size of the whole image, its base with it; bytes")


CONTRACT = Contract(
    name="package",
    summary="Put the model's Triton repository into a container image, by digest.",
    inputs=Inputs,
    outputs=Outputs,
    effects="pure",
    access=Access(read=("models",), write=("models",), registry="push"),
    resources=Resources(cpu="250m", memory="128Mi", cpu_limit="1", memory_limit="256Mi", scratch="2Gi"),
    timeout="15m",
)
