"""Contract of ``export``: what it takes, what it tells. Light to import; knows nothing of torch or ONNX."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which registered model to export, and the rows that it has to answer alike on."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    dataset: Annotated[str, Refers("dataset")] = Field(
        description="dataset version, USE_CASE.TABLE@TAG: its last month gives the rows for parity"
    )
    model_version: Annotated[str, Refers("model")] = Field(description="registered version: models:/USE_CASE/N")
    tolerance: float = Field(
        1e-4,
        gt=0,
        le=0.01,
        description="most that an ONNX answer may differ from PyTorch's, as a share of the larger one (at least 1 unit)",
    )


class Outputs(StepOutputs):
    """Where the Triton repository is, and how far the two models are apart."""

    repository: Annotated[str, Refers("s3-prefix")] = Field(
        description="Triton model repository: s3://models/USE_CASE/N-DIGEST/"
    )
    manifest_sha256: str = Field(description="sha256 of the repository's manifest.json, which has every file's sha256")
    max_difference: float = Field(description="largest difference of ONNX and PyTorch on real rows, target's unit")
    rows_compared: int = Field(description="real rows that both were asked; count")


CONTRACT = Contract(
    name="export",
    summary="Export the registered model to ONNX, prove parity on real rows, write its Triton repository.",
    inputs=Inputs,
    outputs=Outputs,
    effects="pure",
    leaves={"version-tags": "model_version"},
    access=Access(read=("lake",), write=("models",), catalog="read"),
    resources=Resources(cpu="1", memory="1280Mi", cpu_limit="2", memory_limit="2Gi", scratch="256Mi"),
    timeout="10m",
)
