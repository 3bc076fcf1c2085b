"""Spark's need for Java."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.errors import SettingsError
from tiphys.spark.session import check_java

pytestmark = pytest.mark.unit


def java(folder: Path, version: str) -> str:
    """A Java home of that version."""
    (folder / "bin").mkdir()
    (folder / "bin" / "java").write_text("")
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return str(folder)


def test_a_java_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    """17 is."""
    check_java(java(tmp_path, "17.0.15"))


@pytest.mark.parametrize("version", ["1.8.0_292", "11.0.2"])
def test_an_old_java_is_refused_with_the_command_that_helps(tmp_path: Path, version: str) -> None:
    """The message can be typed."""
    with pytest.raises(SettingsError, match=r"is version (8|11): install one with 'sudo apt-get install"):
        check_java(java(tmp_path, version))


def test_a_missing_java_is_named_with_the_command_that_helps(tmp_path: Path) -> None:
    """JAVA_HOME points nowhere."""
    with pytest.raises(SettingsError, match=r"JAVA_HOME is .*no bin/java: install one with 'sudo apt-get install"):
        check_java(str(tmp_path))
