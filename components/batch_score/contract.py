"""Contract of ``batch_score``: what it takes, what it tells. Light to import; knows nothing of Spark or ONNX."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs

MONTH = r"^(\d{4}-(0[1-9]|1[0-2]))?$"


class Inputs(StepInputs):
    """Which rows, and which model."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    dataset: str = Field(
        "",
        description="dataset version to score, USE_CASE.TABLE@TAG; empty, and no source: the one that was trained on last",
    )
    source: str = Field(
        "",
        pattern=r"^(s3://[a-z0-9][a-z0-9.-]*/(\S*/)?)?$",
        description="files to score instead: s3://BUCKET/PREFIX/ of CSV or Parquet, a row a question of the API",
    )
    first_month: str = Field(
        "", pattern=MONTH, description="first month of the dataset to score, like 2018-01; empty: all"
    )
    last_month: str = Field(
        "", pattern=MONTH, description="last month of the dataset to score, like 2019-06; empty: all"
    )
    model_version: str = Field(
        "", description="registered version, models:/USE_CASE/N, that was exported; empty: what production serves"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.dataset and self.source:
            message = "give a dataset or a source, not both"
            raise ValueError(message)
        if self.source and (self.first_month or self.last_month):
            message = "first-month and last-month choose months of a dataset: files are scored whole"
            raise ValueError(message)
        return self


class Outputs(StepOutputs):
    """The answers, and what became of every row."""

    predictions: Annotated[str, Refers("dataset")] = Field(
        description="version of the table of answers: USE_CASE.predictions@TAG"
    )
    scored: str = Field(description="what was scored: the dataset version, or the prefix of the files")
    model_version: str = Field(description="registered version that answered: models:/USE_CASE/N")
    manifest_sha256: str = Field(description="sha256 of the manifest of that version's model repository")
    rows_in: int = Field(description="rows of the dataset's months, or of the files; count")
    rows_scored: int = Field(description="rows in the table of answers; count")
    rows_rejected: int = Field(
        description="rows without an answer, each with its reason in the table of rejects; count"
    )
    computed: bool = Field(description="whether they were scored now; false: the very same was there already")


CONTRACT = Contract(
    name="batch_score",
    summary="Score a dataset version, or files, with a model: a table of answers, each row answered or rejected with a reason.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(read=("landing", "models"), write=("lake",), catalog="write", ledger="read", pods=True),
    resources=Resources(cpu="1", memory="1792Mi", cpu_limit="2", memory_limit="3Gi", scratch="2Gi"),
    timeout="4h",
)
