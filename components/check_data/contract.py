"""Contract of ``check_data``: what it takes, what it tells. Light to import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs, artifact


class Inputs(StepInputs):
    """Which version to check."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    dataset: Annotated[str, Refers("dataset")] = Field(description="dataset version: USE_CASE.TABLE@TAG")
    live: str = Field(
        "",
        description="files of live data that came in: months at the end have only begun and may be short; empty: none",
    )
    accept_shift: bool = Field(
        default=False,
        description="true: a person says that the world changed; no comparison with the last trained version",
    )


class Outputs(StepOutputs):
    """What was found; a version that fails ends the step."""

    verdict: str = Field(description="one sentence: what was checked, against which version")
    report: Path = artifact("report.html", "every check with what was found and what is allowed")


CONTRACT = Contract(
    name="check_data",
    summary="Stop the pipeline when a dataset version breaks its contract or moved too far from the last trained one.",
    inputs=Inputs,
    outputs=Outputs,
    effects="pure",
    looks_at={"last-trained": "dataset"},
    access=Access(read=("lake",), catalog="read"),
    resources=Resources(cpu="1", memory="384Mi", cpu_limit="2", memory_limit="1Gi"),
    timeout="30m",
)
