"""Dataset versions made without Spark, so that the model's steps are tested on their own; and a way to run a step."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.model.model_steps import outputs_in, start
from tiphys.lake import live, live_tables
from tiphys.lake.catalog import Lake
from tiphys.lake.dataset import MONTHS
from tiphys.lake.versions import INCOMING, begin, prepare, publish
from tiphys.settings import CatalogSettings, S3Settings, load
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from conftest import Stack

TINY = "tests.usecases.tiny"


def boilings(rows: int, seed: int) -> pa.Table:
    """Clean rows of the tiny use case: 2024-01..2024-04."""
    chance = np.random.default_rng(seed)
    litres, celsius = chance.uniform(0.2, 1.7, rows), chance.integers(5, 61, rows).astype(float)
    seconds = litres * 4186 * (100 - celsius) / (2000 * chance.normal(0.9, 0.02, rows))
    month = chance.integers(1, 5, rows)
    start = np.datetime64("2024-01", "M") + (month - 1).astype("timedelta64[M]")
    moment = start.astype("datetime64[D]") + chance.integers(0, 28, rows).astype("timedelta64[D]")
    return pa.table(
        {
            "switched_on": moment.astype("datetime64[us]"),
            "litres": litres,
            "celsius": celsius,
            "seconds": seconds,
            "minutes": seconds / 60,
        }
    )


def publish_version(environment: Mapping[str, str], use_case: UseCase, table: pa.Table, tag: str) -> str:
    """Make a dataset version of clean rows; answers with its name."""
    lake = Lake(load(CatalogSettings, environment), load(S3Settings, environment))
    trips, rejects = prepare(lake.writer(), use_case.name, use_case.data)
    months = pa.array(table[use_case.data.time].to_numpy().astype("datetime64[M]").astype(str))
    table = table.append_column("month", months).append_column("file", pa.array(["made-up"] * len(table)))
    digests = {each: f"{tag}-{each}" for each in sorted(set(months.to_pylist()))}
    for each, rows in ((trips, table), (rejects, None)):
        begin(each, "")
        if rows is not None:
            schema = each.schema().as_arrow()
            columns = [
                rows[name].cast(schema.field(name).type)
                if name in rows.column_names
                else pa.nulls(len(rows), schema.field(name).type)
                for name in schema.names
            ]
            whole = pa.Table.from_arrays(columns, schema=schema)
            each.refresh()
            each.append(whole, snapshot_properties={MONTHS: json.dumps(digests)}, branch=INCOMING)
        publish(each, tag)
    return f"{use_case.name}.{use_case.data.table}@{tag}"


def publish_labelled(environment: Mapping[str, str], use_case: UseCase, table: pa.Table) -> int:
    """Write rows as trusted answers of the live table ``labelled``; answers with its snapshot."""
    lake = Lake(load(CatalogSettings, environment), load(S3Settings, environment))
    catalog = lake.writer()
    labelled = live_tables.prepare(catalog, use_case.name, use_case.features)["labelled"]
    examples = use_case.examples(table)
    names = [each.name for each in use_case.features]
    known = {
        "prediction_id": [f"p{number}" for number in range(len(table))],
        "at": table[use_case.data.time],
        "moment": table[use_case.data.time],
        "features": [
            dict(zip(names, row, strict=True))
            for row in zip(*(examples.features[name].tolist() for name in names), strict=True)
        ],
        "actual": examples.target,
        "trusted": [True] * len(table),
        "doubtful": [""] * len(table),
    }
    schema = labelled.schema().as_arrow()
    columns = [
        pa.chunked_array([pa.array(known[each.name]).cast(each.type)])
        if each.name in known
        else pa.nulls(len(table), each.type)
        for each in schema
    ]
    whole = pa.Table.from_arrays(columns, schema=schema)
    days = whole["at"].to_numpy().astype("datetime64[D]")
    written = []
    for day in np.unique(days):  # a file a day, as the table is partitioned
        stream = io.BytesIO()
        pq.write_table(whole.take(np.flatnonzero(days == day)), stream)
        written.append(f"{labelled.location()}/data/{uuid.uuid4()}.parquet")
        lake.store.put(written[-1], stream.getvalue())
    labelled.add_files(written)
    return live.snapshot(use_case.name, "labelled", lake)


Step = Callable[..., "tuple[int, dict[str, Any], str]"]


@pytest.fixture
def step(stack: Stack, tmp_path: Path) -> Step:
    """``step(component, run, attempt, **inputs)``: run a component as the engine does; its exit code, outputs, log."""

    def run(component: str, run: str, attempt: int = 0, **inputs: Any) -> tuple[int, dict[str, Any], str]:
        folder = tmp_path / f"{component}-{run}-{attempt}"
        process = start(stack, component, folder, run, attempt, inputs)
        _, log = process.communicate(timeout=300)
        return process.returncode, outputs_in(folder), log

    return run


@pytest.fixture(scope="session")
def kettles(stack: Stack) -> str:
    """A dataset version of the tiny use case."""
    return publish_version(stack.environment("etl"), UseCase(TINY), boilings(2000, 1), "v-kettles")
