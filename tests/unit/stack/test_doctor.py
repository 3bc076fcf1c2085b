"""The doctor sees what is missing and says how to get it."""

from __future__ import annotations

import socket
import sys
import sysconfig
from pathlib import Path

import pytest

from tiphys.settings import StackSettings
from tiphys.stack.doctor import _jars, _java, _libpython, _ports, _wrong

pytestmark = pytest.mark.unit

LOCK = """\
numpy==1.26.4 \\
    --hash=sha256:00
torch==2.15.0 ; sys_platform == 'linux' \\
    --hash=sha256:00
Typing_Extensions==4.1
colorama==0.4 ; sys_platform == 'win32'
"""


def installed(site: Path, name: str, version: str) -> None:
    """Put a package's metadata into an environment."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_an_environment_is_held_against_its_lock(tmp_path: Path) -> None:
    """Missing and other versions are named; a local build and another platform's package are not."""
    (tmp_path / "requirements.lock").write_text(LOCK)
    site = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    installed(site, "torch", "2.15.0+cpu")
    installed(site, "numpy", "2.0.0")
    wrong = list(_wrong(tmp_path / "requirements.lock", tmp_path / "env"))
    assert wrong == ["numpy", "Typing_Extensions"]
    installed(site, "typing-extensions", "4.1")
    assert list(_wrong(tmp_path / "requirements.lock", tmp_path / "env")) == ["numpy"]


def test_a_missing_shared_python_comes_with_the_command_that_gets_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Triton's backend embeds Python; Debian ships the library in a package of its own."""
    monkeypatch.setattr(sysconfig, "get_config_var", {"LIBDIR": str(tmp_path), "MULTIARCH": "m"}.get)
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    check = _libpython()
    assert (check.verdict, check.remedy) == ("missing", f"apt-get install libpython3.{sys.version_info.minor}")
    library = tmp_path / "m" / f"libpython3.{sys.version_info.minor}.so.1.0"
    library.parent.mkdir()
    library.touch()
    assert (_libpython().verdict, _libpython().found) == ("good", str(library))


def test_a_missing_java_comes_with_the_command_that_gets_it(tmp_path: Path) -> None:
    """JAVA_HOME that leads nowhere is a lack with a remedy."""
    check = _java(StackSettings(home=tmp_path, port_base=7400, java_home=str(tmp_path)))
    assert check.verdict == "missing"
    assert "apt-get install" in check.remedy


def test_an_old_java_is_missing(tmp_path: Path) -> None:
    """Spark needs 17; what was found is shown."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019' >&2\n")
    program.chmod(0o755)
    check = _java(StackSettings(home=tmp_path, port_base=7400, java_home=str(tmp_path)))
    assert check.verdict == "missing"
    assert "11.0.2" in check.found


def test_jars_with_another_digest_are_missing(tmp_path: Path) -> None:
    """A file of the right name with other bytes does not count."""
    digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    (tmp_path / "jars.lock").write_text(f"# Spark\norg.example:good:1.0 {digest}\norg.example:bad:2.0 {digest}\n")
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "good-1.0.jar").write_bytes(b"foo")
    (tmp_path / "jars" / "bad-2.0.jar").write_bytes(b"other")
    check = _jars(StackSettings(home=tmp_path, port_base=7400, java_home="", project=tmp_path))
    assert check.verdict == "missing"
    assert "1 of 2 missing or wrong: bad-2.0.jar" in check.found


def test_a_taken_port_is_told_with_its_remedy(tmp_path: Path) -> None:
    """The setting to change stands in it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        base = held.getsockname()[1] - 2
        check = _ports(StackSettings(home=tmp_path, port_base=base, java_home=""))
    assert check.verdict == "missing"
    assert "TIPHYS_PORT_BASE" in check.remedy
