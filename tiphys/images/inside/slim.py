"""Make Debian slim enough to ship: purge what installs or administers, drop every setuid bit, add the user of all steps.

What is purged leaves Debian's own list of packages too, so that the SBOM tells the truth. A shell and coreutils stay,
unused by every step but Spark's launcher.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

from tiphys.images.inside.times import settle

PURGED = (
    "adduser", "apt", "apt-utils", "bsdutils", "cron", "debconf-i18n", "debian-archive-keyring", "e2fsprogs", "gpgv", "iproute2",
    "libapt-pkg6.0", "libcom-err2", "libext2fs2", "libgnutls30", "libhogweed6", "libidn2-0", "libnettle8", "libp11-kit0",
    "libss2", "libtasn1-6", "libunistring2", "libxxhash0", "login", "logsave", "mount", "passwd", "perl-base", "python3-distutils",
    "python3-lib2to3", "python3-pip-whl", "python3-setuptools-whl", "python3-venv", "python3.11-venv", "sysvinit-utils",
    "util-linux", "util-linux-extra",
)  # fmt: skip
"""Debian's names, and all of Perl; those that a base lacks are passed over."""

RUBBISH = (
    "/var/lib/apt",
    "/var/cache/apt",
    "/var/lib/dpkg/info",
    "/etc/apt",
    "/usr/share/perl5",
    "/usr/share/lintian",
    "/var/log",
    "/var/cache/ldconfig",
    "/var/lib/dpkg/status-old",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
)
KEPT = tuple(Path("/", each) for each in ("etc", "opt", "usr", "var"))
"""Where this writes."""

USER = 65532


def main() -> int:
    """Slim the file system that this runs in."""
    installed = _installed()
    began = time.time()
    names = [each for each in installed if each in PURGED or "perl" in each]
    for each in Path("/var/lib/dpkg/info").glob("*.p*rm"):
        each.unlink()  # their last wills need each other's programs
    subprocess.run(["dpkg", "--purge", "--force-all", *names], check=True, stderr=subprocess.STDOUT)  # noqa: S603, S607
    for folder in RUBBISH:
        subprocess.run(["rm", "-rf", folder], check=True)  # noqa: S603, S607
    drop_privileges(Path("/"))
    add_user(Path("/etc"))
    for place in KEPT:
        settle(place, began)
    return 0


def drop_privileges(root: Path) -> None:
    """Take the setuid and setgid bits from every program."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [each for each in subfolders if not os.path.ismount(Path(folder) / each)]
        for name in files:
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))


def add_user(etc: Path) -> None:
    """The user of every step: programs such as Java ask for the name of their own number."""
    for name, line in (
        ("passwd", f"tiphys:x:{USER}:{USER}:Tiphys:/tmp:/usr/sbin/nologin\n"),
        ("group", f"tiphys:x:{USER}:\n"),
    ):
        path = etc / name
        text = path.read_text(encoding="utf-8")
        if line not in text:
            path.write_text(text + line, encoding="utf-8")


def _installed() -> list[str]:
    command = ["dpkg-query", "--show", "--showformat=${Package}\n"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
