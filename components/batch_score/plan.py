"""What is to be scored, named by the digest of all that decides the answers: the same again is found, not computed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from components.batch_score.contract import Inputs
from tiphys.closure import closure
from tiphys.errors import DataError
from tiphys.lake.catalog import Lake
from tiphys.lake.dataset import Dataset, Ref, last_trained
from tiphys.lake.s3 import Stored, digest_of
from tiphys.lake.upload import usable
from tiphys.serving.batch_questions import Questions
from tiphys.serving.batch_source import format_of, source_of
from tiphys.serving.exported import Model
from tiphys.settings import PROJECT
from tiphys.usecase import UseCase

RULES = 1
"""Number of this step's own rules; raise it with them, and everything is scored anew."""
NO_MONTH = "none"
"""Month of what comes from files: a question has none."""
TABLE = "predictions"


@dataclass(frozen=True)
class File:
    """One file of questions."""

    uri: str
    sha256: str
    bytes: int

    @property
    def key(self) -> str:
        """Short name that stands with each of its rows."""
        return short(self.sha256)


def short(sha256: str) -> str:
    """Return the short name of a file of that content."""
    return sha256[:16]


@dataclass(frozen=True)
class Plan:
    """Rows of a dataset version, or of files."""

    scored: str
    """The dataset version, or the prefix of the files."""
    dataset: Ref | None
    months: dict[str, int]
    """Month -> rows, where they are known before."""
    files: tuple[File, ...]
    digest: str

    @property
    def tag(self) -> str:
        """The version's name."""
        return f"v-{self.digest[:12]}"


def make(inputs: Inputs, use_case: UseCase, model: Model, lake: Lake) -> Plan:
    """Look at what is to be scored.

    Raises:
        DataError: there is no such dataset or file, or nothing in it.
    """
    code = closure([f"{use_case.package}.{'api' if inputs.source else 'features'}"], PROJECT).digest
    made_of = [RULES, use_case.package, model.version, model.manifest_sha256, code]
    if inputs.source:
        files = _files(inputs.source, use_case, lake)
        digest = _digest([*made_of, sorted(each.sha256 for each in files)])
        return Plan(inputs.source, None, {}, files, digest)
    dataset = Dataset.open(_dataset(inputs, use_case, lake), lake)
    months = _months(dataset, inputs)
    digest = _digest([*made_of, {month: dataset.digests[month] for month in months}, str(dataset.ref)])
    return Plan(str(dataset.ref), dataset.ref, months, (), digest)


def _dataset(inputs: Inputs, use_case: UseCase, lake: Lake) -> Ref:
    if inputs.dataset:
        ref = Ref.parse(inputs.dataset)
        if (ref.use_case, ref.table) != (use_case.name, use_case.data.table):
            message = f"{inputs.dataset} is no dataset version of {use_case.name}.{use_case.data.table}"
            raise DataError(message)
        return ref
    found = last_trained(use_case.name, use_case.data.table, lake)
    if found is None:
        message = (
            f"no model of {use_case.name!r} was trained yet, so there is no dataset to take: name one, or a source"
        )
        raise DataError(message)
    return found


def _months(dataset: Dataset, inputs: Inputs) -> dict[str, int]:
    chosen = {
        month: rows
        for month, rows in dataset.months.items()
        if rows and inputs.first_month <= month and (not inputs.last_month or month <= inputs.last_month)
    }
    if not chosen:
        held = list(dataset.months)
        message = (
            f"{dataset.ref} has no rows of {inputs.first_month or '...'}..{inputs.last_month or '...'}; "
            f"it has {held[0]}..{held[-1]}"
        )
        raise DataError(message)
    return chosen


def _files(prefix: str, use_case: UseCase, lake: Lake) -> tuple[File, ...]:
    """Every usable file below the prefix, once: what is there twice under other names is the same rows."""
    found: dict[str, File] = {}
    for stored in lake.store.list(prefix):
        if usable(stored.name):
            file = File(stored.uri, _sha256(stored, lake), stored.size)
            _check_columns(file, use_case, lake)
            found.setdefault(file.sha256, file)
    if not found:
        message = f"{prefix} holds no file that can be scored (*.csv, *.csv.gz, *.parquet): upload them first"
        raise DataError(message)
    return tuple(sorted(found.values(), key=lambda each: each.uri))


def _check_columns(file: File, use_case: UseCase, lake: Lake) -> None:
    """Refuse what is no table of questions before Spark starts: only its column names are read."""
    with source_of(lake.store.open(file.uri), file.uri, format_of(file.uri), file.bytes) as source:
        Questions(use_case.api, source.columns, source.where)


def _sha256(stored: Stored, lake: Lake) -> str:
    with lake.store.open(stored.uri) as file:
        return digest_of(file)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
