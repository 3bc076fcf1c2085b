"""The whole pipeline with the cache: an unchanged run, what it says of itself, and a sample that is run again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.spine.test_spine import TINY, Cli, on
from tests.usecases.tiny import simulator as kettles

pytestmark = [pytest.mark.e2e, pytest.mark.long]
CACHED = {"ingest", "etl", "check-data", "train", "evaluate", "export", "package", "load-test"}
EXTERNAL = {"deploy", "integration-test", "promote", "summary"}


@pytest.fixture(scope="module")
def trained(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Cli, tuple[str, ...]]:
    """The command line, and the arguments of a run that has been there once."""
    folder = tmp_path_factory.mktemp("pipeline")
    cli = on(stack.settings.home, stack.settings.port_base, folder)
    kettles.simulate(folder / "raw")
    arguments = ("--upload", f"source={folder / 'raw'}", "-p", f"use-case={TINY}")
    cli.train(*arguments)
    return cli, arguments


def hits(cli: Cli) -> set[str]:
    """The steps of the latest run that were cached."""
    nodes = json.loads(cli("get", "@latest", "-o", "json"))["status"]["nodes"].values()
    return {each["displayName"] for each in nodes if each["type"] == "Retry" and "memoizationStatus" in each}


def test_an_unchanged_run_makes_nothing_anew_and_serves_the_same(trained: tuple[Cli, tuple[str, ...]]) -> None:
    """Every pure step and the load test are cached and say so; what deploys and asks runs."""
    cli, arguments = trained
    output, summary = cli.train(*arguments)
    assert hits(cli) == CACHED
    assert all(f"{step} Succeeded" in output for step in EXTERNAL - {"summary"})
    told = summary["outputs"]["parameters"]
    assert (told["train-reused"], told["etl-months-computed"]) == ("true", "0")
    why = cli("why-cached", "@latest", "train")
    assert "code: " in why
    assert "content of dataset: snapshot " in why
    assert "left: last-trained: this one" in why
    assert "deploy: never cached: its effects are external" in cli("why-missed", "@latest", "deploy")


def test_a_deleted_object_makes_the_step_run_that_had_made_it(trained: tuple[Cli, tuple[str, ...]], stack: Any) -> None:
    """The exported repository lacks a file: export runs and writes it again; all else is cached."""
    cli, arguments = trained
    _, summary = cli.train(*arguments)
    bucket, _, prefix = summary["outputs"]["parameters"]["export-repository"].removeprefix("s3://").partition("/")
    client = stack.s3("export")
    onnx = next(
        each.object_name
        for each in client.list_objects(bucket_name=bucket, prefix=prefix, recursive=True)
        if each.object_name.endswith(".onnx")
    )
    client.remove_object(bucket_name=bucket, object_name=onnx)
    cli.train(*arguments)
    assert "export" not in hits(cli)
    assert {"ingest", "etl", "check-data", "train", "evaluate"} <= hits(cli)
    assert "its output repository does not hold any more" in cli("why-missed", "@latest", "export")
    assert client.stat_object(bucket_name=bucket, object_name=onnx).size


def test_an_audit_of_every_pure_step_finds_them_the_same(trained: tuple[Cli, tuple[str, ...]]) -> None:
    """Run again under the first run's name, each gives the same outputs and the same reports to the byte."""
    cli, arguments = trained
    cli.train(*arguments)
    said = cli("cache", "audit", "--share", "1")
    assert not [line for line in said.splitlines() if ": audited: the same as in " not in line]
    assert {line.split()[1].rstrip(":") for line in said.splitlines()} == CACHED
    assert cli("cache", "quarantine") == ""
