"""Contract of ``collect_outcomes``: what it takes, what it tells. Light to import; knows nothing of Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs, artifact


class Inputs(StepInputs):
    """Whose live data, and whom to trust."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    trusted: str = Field(
        "auditor",
        pattern=r"^([\w.-]+(,[\w.-]+)*)?$",
        description="names of the gateway's keys that are the operator's own meters, with commas: what they report is the holdout",
    )
    unknown_after_s: float = Field(
        3600.0,
        ge=0,
        description="after so long a report on an answer that never landed is given up; seconds of wall clock",
    )


class Outputs(StepOutputs):
    """What the live tables hold now; ``outcomes`` is always the sum of ``labelled``, the refused ones and ``waiting``."""

    predictions: int = Field(description="answers in the lake, without the shadow's; count")
    outcomes: int = Field(description="readable reports in the lake; count")
    new_predictions: int = Field(
        description="lines of the log of answers that this run took in, the shadow's included; count"
    )
    new_outcomes: int = Field(description="readable reports that this run took in; count")
    labelled: int = Field(description="answers whose outcome stands; count")
    trusted: int = Field(description="labelled rows of the operator's own meters: the holdout; count")
    late: int = Field(
        description="labelled rows that were known more than an hour after the end, by the own clock; count"
    )
    duplicate: int = Field(description="reports that repeat what stands; count")
    contradictory: int = Field(description="reports that contradict what stands; count")
    unknown: int = Field(description="reports on answers that never landed; count")
    not_the_asker: int = Field(description="reports by somebody who had not asked; count")
    impossible: int = Field(description="reports of a value that cannot be true; count")
    untimely: int = Field(description="reports from before the end, or from more than a year after; count")
    waiting: int = Field(description="reports whose answer has not landed yet; count")
    broken: int = Field(description="lines of either log that cannot be read; count")
    doubtful: int = Field(description="labelled rows that a person should look at: never trained on; count")
    missing: dict[str, int] = Field(description="answers without an outcome by age on the own clock: count of each")
    live_source: Annotated[str, Refers("s3-prefix")] = Field(
        description="training files of the live rows: s3://raw/USE_CASE/live/DIGEST/; empty: there are none"
    )
    live_rows: int = Field(description="rows in those files; count")
    incomplete: int = Field(description="rows left out of them because a fact was not reported; count")
    predictions_snapshot: int = Field(description="state of the table of live answers that all of this was found in")
    labelled_snapshot: int = Field(
        description="state of the table of labelled answers; its trusted rows are the holdout, which no training sees"
    )
    live_values: int = Field(
        description="values of the live feature that this run made, one a step and group; 0 where the use case has none; count"
    )
    review: Path = artifact("review.csv", "a sample of the doubtful rows, each with its reason")


CONTRACT = Contract(
    name="collect_outcomes",
    summary="Take the log of live answers and outcomes into the lake, exactly once, and join them: labelled rows, training files, holdout.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(read=("landing",), write=("lake", "raw", "checkpoints", "features"), catalog="write", pods=True),
    resources=Resources(cpu="1", memory="1792Mi", cpu_limit="2", memory_limit="3Gi", scratch="2Gi"),
    timeout="1h",
)
