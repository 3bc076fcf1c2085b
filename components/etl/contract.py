"""Contract of ``etl``: what it takes, what it tells. Light to import; knows nothing of Spark."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs, told

MONTH = r"^(\d{4}-(0[1-9]|1[0-2]))?$"


class Inputs(StepInputs):
    """Which raw files, and which months of them."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    manifest: Annotated[str, Refers("s3-manifest")] = Field(
        description="list of raw files that ingest wrote: s3://raw/USE_CASE/DIGEST/manifest.json"
    )
    first_month: str = Field("", pattern=MONTH, description="first month of the version, like 2018-01; empty: all")
    last_month: str = Field("", pattern=MONTH, description="last month of the version, like 2019-06; empty: all")


class Outputs(StepOutputs):
    """The version, and what became of every row."""

    dataset: Annotated[str, Refers("dataset")] = Field(description="dataset version: USE_CASE.TABLE@TAG")
    rows_in: int = Field(description="rows of the version's months in the raw files; count")
    rows_kept: int = Field(description="rows in the table; count")
    rows_rejected: int = Field(description="rows in the table of rejects, each with its reason; count")
    months: int = Field(description="months of the version; count")
    months_computed: int = told("months computed now, the others were there; count", found="0")


CONTRACT = Contract(
    name="etl",
    summary="Turn raw files into a version of the use case's table: every row is kept, or rejected with a reason.",
    inputs=Inputs,
    outputs=Outputs,
    effects="pure",
    access=Access(read=("raw",), write=("lake",), catalog="write", pods=True),
    resources=Resources(cpu="1", memory="1280Mi", cpu_limit="2", memory_limit="2Gi", scratch="1Gi"),
    timeout="2h",
)
