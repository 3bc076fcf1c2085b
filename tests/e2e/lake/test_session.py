"""A Spark of its own that meets a defect, without any server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e

_DEFECT = """
from tiphys.spark.session import session
from tiphys.lake.catalog import Lake
from tiphys.settings import CatalogSettings, S3Settings, load

nowhere = {
    "TIPHYS_CATALOG_URL": "postgresql://127.0.0.1:9/none", "TIPHYS_CATALOG_USER": "none",
    "TIPHYS_CATALOG_PASSWORD": "none", "TIPHYS_S3_ENDPOINT": "http://127.0.0.1:9",
    "TIPHYS_S3_ACCESS_KEY": "none", "TIPHYS_S3_SECRET_KEY": "none",
}
try:
    with session(Lake(load(CatalogSettings, nowhere), load(S3Settings, nowhere))) as spark:
        spark._jvm.java.util.Optional.empty().get()
except RuntimeError as error:
    print(error)
"""


def test_a_defect_in_spark_is_told_after_spark_has_ended() -> None:
    """Java's own words outlive the process that said them."""
    own = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", _DEFECT], env=own, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "java.util.NoSuchElementException: No value present" in done.stdout
