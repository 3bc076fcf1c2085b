"""Where Python's own shared library is: programs that embed Python load it, and Debian ships it apart. Stdlib only."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

NAME = "libpython{}.{}.so.1.0".format(*sys.version_info)


def folder() -> Path | None:
    """The folder of this interpreter's shared library; None if this machine does not have it."""
    own = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    places = [own, own / str(sysconfig.get_config_var("MULTIARCH") or ""), Path(sys.base_prefix) / "lib"]
    return next((place for place in places if (place / NAME).exists()), None)


def packages() -> tuple[str, ...]:
    """Debian's and Ubuntu's names of the package that has it, the most likely one last."""
    name = "libpython{}.{}".format(*sys.version_info)
    return (f"{name}t64", name)
