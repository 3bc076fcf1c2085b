"""The manifest of raw files: what ``ingest`` found out about each file, and what ``etl`` relies on.

A row is a line that is neither blank nor a repetition of the file's first line (or a row of a Parquet file). The
months of a file are those that hold at least 1 % of its rows, most rows first: stray rows with a clock gone wrong do
not make a month. Both steps take these definitions from here. Knows no use case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tiphys.errors import DataError
from tiphys.lake.s3 import S3

BUCKET = "raw"
MIN_MONTH_SHARE = 0.01

Format = Literal["csv", "csv.gz", "parquet"]


class RawFile(BaseModel):
    """One raw file, in the raw zone under its own digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """As it was uploaded."""
    uri: str
    sha256: str
    bytes: int
    format: Format
    header: str
    """First line of a CSV file, without byte-order mark and line end; empty for Parquet."""
    fields: dict[str, str]
    """The file's own column names, in its order -> the contract's name, empty where it has none."""
    rows: int
    months: tuple[str, ...]
    """Main month first."""

    @property
    def key(self) -> str:
        """Short name that is stored with each row: the first half of its digest's half."""
        return self.sha256[:16]


class Manifest(BaseModel):
    """The raw files of one ingestion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    files: tuple[RawFile, ...]

    def write(self, store: S3) -> str:
        """Store it under its digest; answers with its address."""
        text = self.model_dump_json(indent=1).encode()
        uri = f"s3://{BUCKET}/{self.use_case}/{hashlib.sha256(text).hexdigest()[:32]}/manifest.json"
        if store.find(uri) is None:
            store.put(uri, text)
        return uri

    @classmethod
    def read(cls, uri: str, store: S3) -> Manifest:
        """Read it back.

        Raises:
            DataError: it is not there, or is no manifest.
        """
        try:
            return cls.model_validate_json(store.get(uri))
        except ValidationError as error:
            message = f"{uri} is no manifest of raw files: {error.errors()[0]['msg']}; run ingest again"
            raise DataError(message) from None

    def by_month(self) -> dict[str, tuple[RawFile, ...]]:
        """Month -> the files that contribute to it, months in order."""
        months = sorted({month for each in self.files for month in each.months})
        return {month: tuple(each for each in self.files if month in each.months) for month in months}


def plausible(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Months that a file is about, from rows counted by month: most rows first."""
    total = sum(counts.values())
    held = {month: count for month, count in counts.items() if count >= MIN_MONTH_SHARE * total}
    return tuple(sorted(held, key=lambda month: (-held[month], month)))
