"""Spark's jars are the locked ones or none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tiphys.errors import PermanentError
from tiphys.lake.jars import Jar, _take, locked, missing

pytestmark = pytest.mark.unit

JAR = Jar("g", "a", "1", hashlib.sha256(b"jar").hexdigest())


def test_the_lock_names_every_jar_by_coordinates_and_digest() -> None:
    """Iceberg's runtime is among them; every digest has its full length."""
    jars = locked()
    assert any(jar.artifact.startswith("iceberg-spark-runtime") for jar in jars)
    assert all(len(jar.sha256) == 64 for jar in jars)


def test_a_jar_that_is_not_what_was_locked_is_missing(tmp_path: Path) -> None:
    """Absent, altered and right jars are told apart."""
    assert missing(tmp_path, [JAR]) == [JAR]
    (tmp_path / JAR.file).write_bytes(b"altered")
    assert missing(tmp_path, [JAR]) == [JAR]
    (tmp_path / JAR.file).write_bytes(b"jar")
    assert missing(tmp_path, [JAR]) == []


def test_an_altered_download_is_refused_and_names_both_digests(tmp_path: Path) -> None:
    """Nothing of it reaches the folder."""
    fetched = tmp_path / "fetched"
    fetched.write_bytes(b"altered")
    with pytest.raises(PermanentError, match=JAR.sha256):
        _take(fetched, JAR, tmp_path)
    assert not (tmp_path / JAR.file).exists()
