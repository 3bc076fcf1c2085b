"""A Debian 12 made on this machine, for where no registry of images can be reached: mmdebstrap's, kept until its recipe changes."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tiphys.errors import RetryableError
from tiphys.images.builders import Builder
from tiphys.images.running import run
from tiphys.images.tools import need

WORD = "bootstrap"
"""What stands for it where a base is named."""

SUITE = "bookworm"
OPTIONS = (
    "--variant=apt",
    "--include=ca-certificates,python3,python3-venv,tzdata",
    # An older way to merge /usr brings all of Perl along.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    '--setup-hook=mkdir -p "$1/etc/apt/preferences.d"',
    r'--setup-hook=printf "Package: usrmerge\nPin: release *\nPin-Priority: -1\n" > "$1/etc/apt/preferences.d/usrmerge"',
    '--customize-hook=rm "$1/etc/apt/preferences.d/usrmerge"',
    *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("man", "locale", "doc")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)


def debian(builder: Builder, log: Path, say: Callable[[str], None], *, anew: bool = False) -> str:
    """Return the image of a Debian that was made here; makes it if there is none from this recipe, or `anew`.

    Raises:
        PermanentError: mmdebstrap is not here and can't be installed.
        RetryableError: it could not reach Debian's packages.
    """
    digest = hashlib.sha256("\0".join((SUITE, *OPTIONS)).encode()).hexdigest()
    tag = f"{Builder(builder.kind).prefix}/{WORD}:{digest[:12]}"  # whatever the images are called
    if anew or not builder.image_id(tag):
        need("mmdebstrap")
        say("making a Debian 12 from its packages: some minutes, once")
        log.parent.mkdir(parents=True, exist_ok=True)  # of a clone that has built nothing yet
        with tempfile.TemporaryDirectory(prefix="tiphys-debian-", dir=log.parent) as folder:
            _make(Path(folder), log)
            (Path(folder) / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n", encoding="utf-8")
            run(builder.build(Path(folder) / "Dockerfile", Path(folder), tag, {}, {}), log)
    return tag


def _make(folder: Path, log: Path) -> None:
    command = ["mmdebstrap", *OPTIONS, SUITE, str(folder / "rootfs.tar")]
    try:
        run(command, log)
    except subprocess.CalledProcessError as error:
        message = f"mmdebstrap failed: {error.output}; is Debian's mirror reachable? its words are in {log}"
        raise RetryableError(message) from error
