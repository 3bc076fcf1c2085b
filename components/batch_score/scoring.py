"""What a Spark worker does with rows: it asks the model, in its own process. Knows no Spark.

Two ways in, one way out. Rows of a dataset become features as they did for training; rows of files become questions as the
gateway's do. Out come Arrow batches of `columns`: a row is answered, or it has a reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from components.batch_score.plan import NO_MONTH, short
from tiphys.errors import DataError
from tiphys.serving.session import Session
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from io import BufferedReader, RawIOBase

    from tiphys.settings import S3Settings
    from tiphys.usecase import Array

_ROWS = 8192
"""Rows that the model is asked at once."""
_NOT_FINITE = "the model answers with no finite number"
_TYPES: dict[str, Any] = {"int64": pa.int64(), "float32": pa.float64()}
_OWN: tuple[tuple[str, Any], ...] = (
    ("month", pa.string()),
    ("file", pa.string()),
    ("row", pa.int64()),
    ("prediction", pa.float64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("actual", pa.float64()),
    ("model_version", pa.string()),
    ("reason", pa.string()),
    ("raw", pa.string()),
)


def schema(use_case: UseCase) -> pa.Schema:
    """Columns of a row that is decided about: where it is from, its features, the answer, or why there is none.

    Raises:
        DataError: a feature has the name of one of the other columns.
    """
    own = dict(_OWN)
    clash = [each.name for each in use_case.features if each.name in own]
    if clash:
        message = f"use case {use_case.name!r} has feature {', '.join(clash)}: predictions have a column of that name"
        raise DataError(message)
    features = [(each.name, _TYPES[each.dtype]) for each in use_case.features]
    return pa.schema([*_OWN[:3], *features, *_OWN[3:]])


@dataclass(frozen=True)
class Scorer:
    """All that a worker needs to know; it travels there as it is."""

    use_case: str
    model_version: str
    pieces: tuple[bytes, ...]

    def dataset(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score rows of a dataset: batches with the use case's columns, ``month`` and ``file``."""
        use_case = UseCase(self.use_case)
        ask = Session(self.pieces, use_case)
        for batch in batches:
            if batch.num_rows == 0:
                continue
            table = pa.Table.from_batches([batch])
            found = use_case.examples(table.select(use_case.columns))
            origin = {"month": table["month"], "file": table["file"], "actual": found.target}
            yield self._decided(use_case, ask, found.features, origin)

    def files(self, batches: Iterable[pa.RecordBatch], s3: S3Settings) -> Iterator[pa.RecordBatch]:
        """Score files of questions: batches of ``uri``, ``sha256``, ``bytes``.

        Raises:
            DataError: a file is damaged, lacks columns, or is not the one any more that was planned.
        """
        from tiphys.lake.s3 import S3  # noqa: PLC0415 - workers of datasets read no S3
        from tiphys.serving.batch_source import format_of, source_of  # noqa: PLC0415

        use_case, store = UseCase(self.use_case), S3(s3)
        ask = Session(self.pieces, use_case)
        for each in (row for batch in batches for row in batch.to_pylist()):
            uri, sha256 = each["uri"], each["sha256"]
            with store.open(uri) as content:
                check_planned(content, uri, sha256)
            with source_of(store.open(uri), uri, format_of(uri), each["bytes"]) as source:
                yield from self._file(use_case, ask, source, short(sha256))

    def _file(self, use_case: UseCase, ask: Session, source: Any, key: str) -> Iterator[pa.RecordBatch]:
        from tiphys.serving.batch_questions import Questions  # noqa: PLC0415

        questions = Questions(use_case.api, source.columns, source.where)
        first = 0
        for chunk in source.chunks(_ROWS):
            good, bad = questions.sorted_out(chunk.rows, chunk.flaws, questions.features)
            at = [number for number in range(len(chunk.rows)) if number not in bad]
            if good:
                features = {
                    each.name: np.array([row[each.name] for row in good], each.dtype) for each in use_case.features
                }
                rows = np.array(at, np.int64) + first + 1
                origin = {"month": [NO_MONTH] * len(at), "file": [key] * len(at), "row": rows}
                yield self._decided(use_case, ask, features, origin)
            if bad:
                yield self._refused(use_case, [
                    {"month": NO_MONTH, "file": key, "row": first + number + 1, "reason": reason,
                     "raw": _text(source.columns, chunk.rows[number])}
                    for number, reason in sorted(bad.items())
                ])  # fmt: skip
            first += len(chunk.rows)

    def _decided(
        self, use_case: UseCase, ask: Session, features: Mapping[str, Array], origin: Mapping[str, Any]
    ) -> pa.RecordBatch:
        answers = ask(features)
        bad = ~np.isfinite(answers["prediction"])
        given = {
            **features, **origin, **{name: np.where(bad, np.nan, each) for name, each in answers.items()},
            "model_version": [self.model_version] * len(bad),
            "reason": [_NOT_FINITE if each else None for each in bad],
            "raw": [_of_one(features, number) if each else None for number, each in enumerate(bad)],
        }  # fmt: skip
        return _batch(schema(use_case), given, len(bad))

    @staticmethod
    def _refused(use_case: UseCase, rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(list(rows), schema(use_case))


def check_planned(content: RawIOBase | BufferedReader, uri: str, sha256: str) -> None:
    """Compare a file with the digest that the version of answers is named by.

    Raises:
        DataError: it was replaced in between.
    """
    from tiphys.lake.s3 import digest_of  # noqa: PLC0415 - as above

    found = digest_of(content)
    if found != sha256:
        message = f"{uri} has sha256 {found}, {sha256} was planned: it was replaced meanwhile; run the step again"
        raise DataError(message)


def _batch(wanted: pa.Schema, given: Mapping[str, Any], rows: int) -> pa.RecordBatch:
    arrays = []
    for each in wanted:
        values = given.get(each.name)
        array = pa.nulls(rows, each.type) if values is None else _array(values, each.type)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _array(values: Any, kind: Any) -> Any:
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks().cast(kind)
    if isinstance(values, np.ndarray):
        return pa.array(values, from_pandas=True).cast(kind)
    return pa.array(values, kind)


def _of_one(features: Mapping[str, Array], number: int) -> str:
    return json.dumps({name: values[number].item() for name, values in features.items()})


def _text(columns: Sequence[str], row: Sequence[Any]) -> str:
    return json.dumps(dict(zip(columns, row, strict=True)), default=str)
