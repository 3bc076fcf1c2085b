"""Contract of ``export``: what it takes, what it tells. Light to import; knows nothing of torch or ONNX."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs, measured


class Inputs(StepInputs):
    """Which registered model to export, and the rows that it has to answer alike on."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    dataset: Annotated[str, Refers("dataset")] = Field(
        description="dataset version, USE_CASE.TABLE@TAG: its last month gives the rows for parity and intervals"
    )
    model_version: Annotated[str, Refers("model")] = Field(description="registered version: models:/USE_CASE/N")
    shortlist: list[dict[str, Any]] = Field(
        [],
        description="all versions that passed every gate, best first, as evaluate tells them: where one misses the SLO, the next is "
        "exported; empty: only model-version may be",
    )
    candidates: list[dict[str, Any]] = Field(
        [], description="all that could have been registered, as evaluate tells them, for the record"
    )
    window: str = Field(
        "",
        description="what train told as window: rows for parity and intervals are the newest; empty: the last month's",
    )
    tolerance: float = Field(
        1e-4,
        gt=0,
        le=0.01,
        description="most that an ONNX answer may differ from PyTorch's, as a share of the larger one (at least 1 unit)",
    )
    seconds: float = Field(
        0.2,
        gt=0,
        le=60,
        description="how long each variant is asked one row at a time, and as long in batches; s. More makes steadier figures",
    )
    core_hour_price: float = Field(
        0.04, ge=0, description="price of an hour of one core, for the cost of answers; an example: give your own"
    )
    gpu_hour_price: float = Field(2.5, ge=0, description="price of an hour of one GPU, same currency; an example")
    device_hour_price: float = Field(
        0.0, ge=0, description="what an hour of the asker's own device costs you: its energy, if you pay for it"
    )


class Outputs(StepOutputs):
    """Where the Triton repository is, which variant is in it and why, how far it is from PyTorch, how good its intervals are."""

    repository: Annotated[str, Refers("s3-prefix")] = Field(
        description="Triton model repository: s3://models/USE_CASE/N-WEIGHTS-MANIFEST/"
    )
    manifest_sha256: str = Field(description="sha256 of the repository's manifest.json, which has every file's sha256")
    model_version: Annotated[str, Refers("model")] = Field(
        description="the version that was exported: the first of the shortlist that holds the SLO"
    )
    kind: str = Field("", description="what that is: network, or which candidate; empty: no shortlist was given")
    metrics: str = Field("{}", description="its figures, as evaluate told them; JSON")
    gates: str = Field("[]", description="its gates, as evaluate told them; JSON")
    candidates: str = Field(
        "[]",
        description="all that could have been registered as JSON: name, errors, what became of it after export, too",
    )
    chosen: str = Field(description="name of the variant in the repository")
    why: str = measured("why that one: what it holds, and what each of the others lacks")
    variants: list[dict[str, Any]] = measured(
        "one object a variant: name, reason (why not run; empty: it was), size, error, latency, throughput, memory, cost"
    )
    max_difference: float = Field(
        description="largest difference of its answers and PyTorch's on real rows, target's unit"
    )
    rows_compared: int = Field(description="real rows that both were asked; count")
    coverage: float = Field(
        description="share of held-out truths within their 80 % intervals, 0..1, on the half of the last month that did not "
        "make the intervals"
    )
    interval_width: float = Field(description="median width of those intervals, target's unit")


CONTRACT = Contract(
    name="export",
    summary="Export the registered model to ONNX, measure its variants, choose one, prove it, write its Triton repository.",
    inputs=Inputs,
    outputs=Outputs,
    effects="measured",
    looks_at={"machine": "use_case"},
    leaves={"version-tags": "model_version"},
    access=Access(read=("lake",), write=("models",), catalog="read"),
    resources=Resources(cpu="1", memory="1600Mi", cpu_limit="2", memory_limit="2560Mi", scratch="256Mi"),
    timeout="20m",
)
