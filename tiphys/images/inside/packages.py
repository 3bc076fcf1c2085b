"""Debian packages that one image needs besides the base's: ``python3 -m tiphys.images.inside.packages FOLDER NAME...``.

Installs them where apt still is and leaves in FOLDER, as a tree to copy over the base, every file that this has added, and
what Debian says of each package in ``/var/lib/dpkg/status.d``, where scanners look too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tiphys.images.inside.slim import drop_privileges
from tiphys.images.inside.times import settle

STATUS = Path("/var/lib/dpkg/status")
MANUALS = Path("/usr/share/man/man1")
"""A slim Debian lacks it; Java's set-up links a page into it."""

LEFT_OUT = (
    "/build", "/delta", "/dev", "/proc", "/root", "/run", "/sys", "/tmp",  # noqa: S108
    "/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/var/log", "/usr/share/man", "/usr/share/locale", "/usr/share/lintian",
)  # fmt: skip


def main(target: Path, names: Sequence[str]) -> int:
    """Install the packages and copy what is new."""
    began = time.time()
    before, known = set(_files()), set(stanzas(STATUS.read_text(encoding="utf-8")))
    MANUALS.mkdir(parents=True, exist_ok=True)
    for words in (("update", "-q"), ("install", "-y", "-q", "--no-install-recommends", *names)):
        settings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", *words], env=settings, check=True)  # noqa: S603, S607
    for path in sorted(set(_files()) - before):
        place = target / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place, follow_symlinks=False)
    folder = target / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for name, text in stanzas(STATUS.read_text(encoding="utf-8")).items():
        if name not in known:
            (folder / name).write_text(text + "\n", encoding="utf-8")
    drop_privileges(target)
    settle(target, began)
    return 0


def stanzas(text: str) -> dict[str, str]:
    """What Debian says of each installed package, by name."""
    found = {}
    for each in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in each.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = each
    return found


def _files() -> Iterator[Path]:
    for folder, subfolders, names in os.walk("/"):
        subfolders[:] = [each for each in subfolders if str(Path(folder, each)) not in LEFT_OUT]
        yield from (Path(folder, name) for name in names)
        yield from (path for each in subfolders if (path := Path(folder, each)).is_symlink())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
