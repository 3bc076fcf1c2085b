"""Contract of ``monitor``: what it takes, what it tells. Light to import; what is looked at stands in the use case's watched.py."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs, artifact

MOMENT = r"^(\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?)?$"


class Inputs(StepInputs):
    """Which live rows to look at, and what to hold them against."""

    use_case: str = Field(description="use case: a folder of usecases/, or a dotted package")
    since: str = Field(
        "",
        pattern=MOMENT,
        description="first moment of the window by the use case's own clock, like 2019-01-07T06:00; empty: window_days before its end",
    )
    until: str = Field(
        "", pattern=MOMENT, description="moment after the window's last; empty: what the newest questions are about"
    )
    window_days: float = Field(7.0, gt=0, le=70, description="length of the window where `since` is empty, in days")
    predictions_snapshot: int = Field(
        0, ge=0, description="state of the table of live answers, as collect-outcomes told it; 0: the present one"
    )
    labelled_snapshot: int = Field(0, ge=0, description="state of the table of answers with truths; 0: the present one")
    model_version: str = Field(
        "", description="registered version that is watched, models:/USE_CASE/N; empty: what production serves"
    )
    dataset: str = Field(
        "",
        description="dataset version that live rows are held against, USE_CASE.TABLE@TAG; empty: the one that the model was evaluated on",
    )
    send: bool = Field(
        default=True, description="whether alerts and figures go to the governor; false: they are only written down"
    )


class Outputs(StepOutputs):
    """What was found. Drift is an outcome, not an error."""

    verdict: str = Field(description="drift, stable, or 'not enough': without rows nothing is well")
    summary: str = Field(description="what was found, in a sentence")
    alerts: str = Field(description="the alerts that were sent, as a JSON array; each with its id")
    rows: int = Field(description="live answers in the window; count")
    labelled: int = Field(description="of these, answers of the watched model with a known truth; count")
    since: str = Field(description="first moment of the window, own clock")
    until: str = Field(description="moment after the last")
    mlflow_run: str = Field(description="id of the MLflow run that has figures and report")
    report: Path = artifact("drift.html", "what was looked at and what was found, with plots")
    metrics: Path = artifact(
        "drift.prom", "the figures in Prometheus' text format, as the governor has them under /metrics/drift"
    )


CONTRACT = Contract(
    name="monitor",
    summary="Hold live answers and their truths against what the serving model was made from, and send alerts.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(
        read=("lake", "models", "monitor"), write=("monitor",), catalog="read", ledger="read", governor="alert"
    ),
    resources=Resources(cpu="500m", memory="512Mi", cpu_limit="2", memory_limit="1536Mi"),
    timeout="20m",
)
