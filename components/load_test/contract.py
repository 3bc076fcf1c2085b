"""Contract of ``load-test``: what it takes, what it tells. The load and its SLO stand in the use case's slo.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs, artifact, measured


class Inputs(StepInputs):
    """Which model is under load, and where the report goes."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package; its slo.py has the load"
    )
    model_version: Annotated[str, Refers("model")] = Field(
        description="registered version that must answer: models:/USE_CASE/N"
    )
    mlflow_run: Annotated[str, Refers("mlflow-run")] = Field(
        "", description="MLflow run that keeps the report, too; empty: none"
    )
    manifest_sha256: str = Field(
        "", description="sha256 of the repository's manifest.json: whose evidence this is; empty: none is left"
    )
    asked_by: str = Field("", description="who or what asked for this run, for the record")
    seconds: float | None = Field(None, ge=1, le=600, description="duration in s; empty: as the use case says")
    rate: float | None = Field(None, gt=0, le=10000, description="requests a second; empty: as the use case says")


class Outputs(StepOutputs):
    """Latency as the client saw it, and what came of it."""

    p50_ms: float = measured("median latency in ms")
    p95_ms: float = measured("95th percentile of the latency in ms")
    p99_ms: float = measured("99th percentile of the latency in ms")
    rate: float = measured("requests answered a second")
    errors: int = measured("requests without a right answer; count")
    report: Path = artifact(
        "load-test.html", "percentiles, throughput and errors over time, against the SLO", measured=True
    )
    figures: Path = artifact("load-test.json", "the same figures for a program", measured=True)


CONTRACT = Contract(
    name="load_test",
    summary="Put staging under the load that the use case expects, and hold it to its SLO.",
    inputs=Inputs,
    outputs=Outputs,
    effects="measured",
    looks_at={"staging": "use_case", "triton": "use_case", "gateway": "use_case", "machine": "use_case"},
    leaves={"load-test-evidence": "manifest_sha256"},
    access=Access(ledger="evidence", gateway="tester"),
    resources=Resources(cpu="500m", memory="192Mi", cpu_limit="2", memory_limit="512Mi"),
    timeout="15m",
)
