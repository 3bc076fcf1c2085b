"""Names of objects and of dataset versions, folders that can be uploaded, and patience."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.errors import DataError, RetryableError
from tiphys.lake.dataset import Ref
from tiphys.lake.s3 import S3, persist, split
from tiphys.lake.upload import upload_folder
from tiphys.settings import S3Settings

pytestmark = pytest.mark.unit

NOWHERE = S3(S3Settings("http://127.0.0.1:1", "k", "s", "r"), patience=0.1)


def test_a_version_is_named_by_use_case_table_and_tag() -> None:
    """Reading and writing the name are inverse."""
    ref = Ref.parse("taxi_eta.trips@v-12ab")
    assert (ref.use_case, ref.table, ref.tag) == ("taxi_eta", "trips", "v-12ab")
    assert str(ref) == "taxi_eta.trips@v-12ab"
    assert str(ref.rejects) == "taxi_eta.trips_rejects@v-12ab"


@pytest.mark.parametrize("text", ["", "trips", "a.b", "a.b@", "a.b.c@d", "a.b@c d", "a.b@c\n"])
def test_another_form_is_no_version(text: str) -> None:
    """The message shows the right form."""
    with pytest.raises(DataError, match=r"USE_CASE\.TABLE@TAG"):
        Ref.parse(text)


def test_an_address_has_a_bucket_and_a_key() -> None:
    """Odd characters of a key stay as they are."""
    assert split("s3://landing/a b/c?d#e.csv") == ("landing", "a b/c?d#e.csv")
    with pytest.raises(DataError, match="s3://BUCKET/KEY"):
        split("https://landing/x")


def test_a_folder_that_is_not_there_or_is_none_is_named(tmp_path: Path) -> None:
    """Nothing is asked of S3."""
    with pytest.raises(DataError, match=r"missing is not there"):
        upload_folder(tmp_path / "missing", NOWHERE)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"file is no folder"):
        upload_folder(tmp_path / "file", NOWHERE)


def test_a_folder_without_usable_files_says_what_it_holds(tmp_path: Path) -> None:
    """And which names would do."""
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"\*\.csv, \*\.csv\.gz, \*\.parquet.*holds notes\.txt"):
        upload_folder(tmp_path, NOWHERE)


def test_a_server_that_stays_away_is_a_retryable_error_that_names_it() -> None:
    """Not the client library's own error."""
    with pytest.raises(RetryableError, match=r"http://127\.0\.0\.1:1 does not answer"):
        NOWHERE.get("s3://landing/x")


def test_an_outage_shorter_than_the_patience_is_not_noticed() -> None:
    """The call is repeated until it works."""
    answers = iter([RetryableError("away"), RetryableError("away"), "here"])

    def attempt() -> str:
        answer = next(answers)
        if isinstance(answer, RetryableError):
            raise answer
        return answer

    assert persist(attempt, patience=60) == "here"
