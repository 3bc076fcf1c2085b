"""The programs that images need of this machine: installed with apt as root, else named with the command that installs them."""

from __future__ import annotations

import os
import shutil

from tiphys.bootstrap import SetupError, need_package
from tiphys.errors import PermanentError
from tiphys.images.builders import Builder, NoBuilderError, builder


def find_builder(wanted: str) -> Builder:
    """A builder that works; where there is none and we are root, buildah is installed with the runtime that runs its images.

    Raises:
        NoBuilderError: none works, and none could be installed.
    """
    try:
        return builder(wanted)
    except NoBuilderError:
        if os.geteuid() != 0 or wanted not in {"", "buildah"} or shutil.which("apt-get") is None:
            raise
    need("buildah")
    need("runc")
    return builder("buildah")


def need(program: str) -> None:
    """Install the Debian package of that name if the program is not there.

    Raises:
        PermanentError: it can't be installed; says how to.
    """
    try:
        need_package(shutil.which(program) is not None, program, (program,))
    except SetupError as error:
        raise PermanentError(str(error)) from error
