"""Put the lake's jars among Spark's own: ``python -m tiphys.images.inside.jars``, where ``jars.lock`` lies.

Ivy, which PySpark brings, fetches them; each is checked by its digest. A whole set or none: a build that fails is thrown away.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tiphys.images.inside.surroundings import environment
from tiphys.images.inside.times import settle

ENVIRONMENT = Path("/opt/venv")
LOCK = Path("jars.lock")


def main() -> int:
    """Fetch and check."""
    folder = next(ENVIRONMENT.glob("lib/python3.*/site-packages/pyspark/jars"))
    jars = [
        (*words[0].split(":"), words[1])
        for line in LOCK.read_text().splitlines()
        if (words := line.partition("#")[0].split())
    ]
    wanted = "".join(
        f'<dependency org="{group}" name="{name}" rev="{version}" transitive="false" conf="*->master"/>'
        for group, name, version, _ in jars
    )
    Path("ivy.xml").write_text(
        '<ivy-module version="2.0"><info organisation="tiphys" module="jars"/>'
        f"<dependencies>{wanted}</dependencies></ivy-module>",
        encoding="utf-8",
    )
    ivy = str(next(folder.glob("ivy-*.jar")))
    command = [
        "java",
        "-jar",
        ivy,
        "-cache",
        "ivy",
        "-ivy",
        "ivy.xml",
        "-warn",
        "-retrieve",
        f"{folder}/[artifact]-[revision].[ext]",
    ]
    subprocess.run(command, env=environment(), check=True)  # noqa: S603 - the build's own
    for _, name, version, digest in jars:
        file = folder / f"{name}-{version}.jar"
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != digest:
            sys.exit(f"{file.name} has sha256 {found}, jars.lock says {digest}: the download was altered or cut short")
    settle(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
