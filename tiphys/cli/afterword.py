"""What `tiphys run` says after the tree: the run's own summary, where to look, what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiphys.cli.surroundings import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tiphys.engine import Engine, RunState

SUMMARY = "summary-text"
"""Global output parameter that a workflow's exit handler may leave: its table."""
_LONGEST = 200
"""Characters of a value that are shown."""


def afterword(engine: Engine, run: RunState, home: Path) -> list[str]:
    """Lines to print; of a workflow that leaves no summary what its steps told, if they told anything."""
    told = _outputs(run)
    if SUMMARY not in told:
        return _told(told)
    addresses = engine.objects.data("ConfigMap", "tiphys") or {}
    return ["", told[SUMMARY], "", *_places(told, addresses, _reports(run, home)), *_next(run, addresses)]


def _told(told: dict[str, str]) -> list[str]:
    """Global output parameters, one a line, long ones cut as `tiphys get` does."""
    width = max(map(len, told), default=0)
    lines = [f"{name:<{width}}  {_short(value)}" for name, value in told.items()]
    return ["", *lines] if lines else []


def _short(value: str) -> str:
    first = value.partition("\n")[0][:_LONGEST]
    return first if first == value.rstrip("\n") else first + "…"


def _places(told: dict[str, str], addresses: dict[str, str], reports: list[Path]) -> Iterator[str]:
    mlflow = addresses.get("TIPHYS_MLFLOW_URL")
    if mlflow:
        known = told.get("train-mlflow-run")
        yield f"MLflow    {mlflow}" + (f"   (run {known})" if known else "")
    for report in reports:
        yield f"report    {report}"
    gateway = addresses.get("TIPHYS_GATEWAY_URL")
    if gateway:
        yield f"endpoint  {gateway}/docs"


def _next(run: RunState, addresses: dict[str, str]) -> list[str]:
    if run.phase == "Succeeded" and addresses:
        return [f"try       {program()} predict"]
    return [f"try       {program()} get {run.name}"]


def _outputs(run: RunState) -> dict[str, str]:
    parameters = (run.outputs or {}).get("parameters") or []
    return {each["name"]: each.get("value", "") for each in parameters}


def _reports(run: RunState, home: Path) -> list[Path]:
    """HTML pages among the artifacts that steps left in the local store."""
    keys = [
        (each.get("s3") or {}).get("key", "")
        for node in run.nodes.values()
        if node.type == "Pod"
        for each in (node.outputs or {}).get("artifacts") or []
    ]
    paths = [home / "engine" / "artifacts" / key for key in keys if key.endswith(".html")]
    return [path for path in paths if path.is_file()]
