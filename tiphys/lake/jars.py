"""Spark's extra jars: what ``jars.lock`` lists, fetched by the Ivy inside PySpark, checked by digest.

``python -m tiphys.lake.jars`` fills ``<TIPHYS_HOME>/jars``; needs Java and PySpark, no Maven. Ivy knows the public
repository and honours a person's own Ivy settings. A second run only checks digests.

``jars.lock``: one jar a line, ``group:artifact:version sha256``; ``#`` starts a comment.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tiphys.errors import PermanentError, RetryableError, TiphysError
from tiphys.settings import PROJECT, StackSettings, stack_settings

LOCK = PROJECT / "jars.lock"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Jar:
    """One jar by coordinates and digest."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.artifact}-{self.version}.jar"


def jar_folder(settings: StackSettings) -> Path:
    """Where the jars lie."""
    return settings.home / "jars"


def locked(lock: Path = LOCK) -> list[Jar]:
    """Read the lock."""
    found = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if words:
            group, artifact, version = words[0].split(":")
            found.append(Jar(group, artifact, version, words[1]))
    return found


def missing(folder: Path, jars: Sequence[Jar]) -> list[Jar]:
    """Which jars are not there, or not what the lock says."""
    return [jar for jar in jars if not (folder / jar.file).is_file() or _sha256(folder / jar.file) != jar.sha256]


def install(folder: Path, jars: Sequence[Jar]) -> list[Jar]:
    """Fetch what is missing; a jar appears whole and checked, or not at all.

    Raises:
        RetryableError: the repository could not be reached.
        PermanentError: a jar is not the one that was locked.
    """
    todo = missing(folder, jars)
    if todo:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            _fetch(todo, Path(scratch))
            for jar in todo:
                _take(Path(scratch) / jar.file, jar, folder)
    return todo


def main() -> int:
    """Install the locked jars and say what was fetched."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    folder = jar_folder(stack_settings())
    jars = locked()
    todo = missing(folder, jars)
    if not todo:
        return 0
    log.info("jars for Spark: will download %s (about 120 MB in all)", ", ".join(jar.file for jar in todo))
    try:
        install(folder, jars)
    except TiphysError as error:
        log.error("error: %s", error)  # noqa: TRY400 - a message for a person
        return error.exit_code
    return 0


def _fetch(jars: Sequence[Jar], scratch: Path) -> None:
    java = shutil.which("java")
    if java is None:
        message = "no Java on PATH: Spark and its jars need Java 17 or newer; 'make setup' installs it"
        raise PermanentError(message)
    wanted = "".join(
        f'<dependency org="{jar.group}" name="{jar.artifact}" rev="{jar.version}" transitive="false" conf="*->master"/>'
        for jar in jars
    )
    ivy = scratch / "ivy.xml"
    ivy.write_text(
        '<ivy-module version="2.0"><info organisation="tiphys" module="jars"/>'
        f"<dependencies>{wanted}</dependencies></ivy-module>",
        encoding="utf-8",
    )
    command = [java, "-jar", str(_ivy_jar()), "-cache", str(scratch / "cache"), "-ivy", str(ivy), "-warn"]
    command += ["-retrieve", f"{scratch}/[artifact]-[revision].[ext]"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own arguments
    if done.returncode != 0 or any(not (scratch / jar.file).exists() for jar in jars):
        message = f"could not fetch {', '.join(jar.file for jar in jars)}; is the network there? Ivy said:\n"
        raise RetryableError(message + (done.stdout + done.stderr)[-2000:])


def _take(fetched: Path, jar: Jar, folder: Path) -> None:
    found = _sha256(fetched)
    if found != jar.sha256:
        message = f"{jar.file} has sha256 {found}, jars.lock says {jar.sha256}: the download was altered or cut short"
        raise PermanentError(message)
    fetched.replace(folder / jar.file)


def _ivy_jar() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        message = "PySpark is not installed: run 'make setup'"
        raise PermanentError(message)
    return next((Path(spec.origin).parent / "jars").glob("ivy-*.jar"))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
