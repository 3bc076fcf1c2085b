"""Contract of ``simulate``: what it takes, what it tells. Who asks, and what may change, stands in the use case."""

from __future__ import annotations

from typing import Self

from pydantic import Field, NaiveDatetime, model_validator

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which hours of the city, how many ask, how fast its clock runs, and what happens to it."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    start: NaiveDatetime = Field(description="where the city's own clock begins, without a zone: 2019-07-01T00:00:00")
    hours: float = Field(24.0, gt=0, le=24 * 366, description="how long it lives, in hours of its own clock")
    rate: float = Field(100.0, gt=0, le=1_000_000, description="mean number of rides an hour of its own clock")
    questions: int = Field(
        0, ge=0, description="it ends after so many questions, if that is sooner; 0: only the hours count"
    )
    speed: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="how many times faster its clock runs than ours; 0: as fast as the gateway answers",
    )
    seed: int = Field(1, ge=0, description="chance; files of `tiphys simulate --seed` are of the same city")
    scenario: str = Field(
        "", description="what happens to it, by its name in the use case's scenarios.py; empty: nothing"
    )
    scenario_from: NaiveDatetime | None = Field(
        None, description="from when on, by the city's own clock; empty: from the start"
    )
    source: str = Field(
        "",
        description="rides that really took place, instead of made-up ones: s3://BUCKET/PREFIX/ or a folder of raw files",
    )
    at_once: int = Field(8, ge=1, le=64, description="questions that may be open at once; count")
    linger_hours: float = Field(
        1.0,
        ge=0,
        le=24 * 7,
        description="how long outcomes are still reported after the last question, in hours of its clock",
    )
    patience_s: float = Field(
        120.0, ge=0, le=3600, description="longest that one question waits for a gateway that is away or full, in s"
    )

    @model_validator(mode="after")
    def _scenario_has_a_name(self) -> Self:
        if self.scenario_from is not None and not self.scenario:
            message = "scenario-from is given, but no scenario"
            raise ValueError(message)
        return self


class Outputs(StepOutputs):
    """What became of all questions and outcomes."""

    asked: int = Field(description="questions that were asked; count")
    answered: int = Field(description="of these: answered; count")
    status_quo: int = Field(description="of the answers: given by the status quo, not by a model; count")
    refused: int = Field(description="questions that were not answered; count")
    reported: int = Field(description="outcomes that the gateway took; count")
    trusted: int = Field(description="of these: of the operator's own meters; count")
    lost: int = Field(description="outcomes that it did not take, or perhaps did; count")
    mean_error: float = Field(
        description="mean absolute error of answers whose outcome was reported, in the target's unit"
    )
    until: str = Field(description="the city's own clock at the end: go on with start=UNTIL")


CONTRACT = Contract(
    name="simulate",
    summary="Let the use case's artificial world ask the gateway live and report what came of it, on a clock that may run fast.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(read=("landing", "raw"), gateway="rider", audits=True),
    resources=Resources(cpu="500m", memory="384Mi", cpu_limit="1", memory_limit="2Gi", scratch="1Gi"),
    timeout="24h",
    retries=0,
)
