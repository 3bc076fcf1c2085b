"""Take out of an environment what no step needs at run time: tests, headers, sources of extensions, parts nobody loads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("tests", "__pycache__", "include")
"""Names of folders that go whole; ``testing`` stays: libraries import theirs."""

SUFFIXES = (".a", ".lib", ".h", ".hpp", ".cuh", ".c", ".cc", ".cpp", ".pyx", ".pxd", ".pxi", ".pyi")
"""What only a compiler or an editor reads."""

UNUSED = (
    "pyarrow/libarrow_flight*", "pyarrow/libarrow_python_flight*", "pyarrow/_flight*", "pyarrow/flight*",
    "pyarrow/_pyarrow_cpp_tests*", "pyarrow/src",
)  # fmt: skip
"""Parts of packages, below site-packages: Arrow's RPC server."""


def prune(environment: Path) -> int:
    """Remove, and return the bytes freed."""
    freed = 0
    for path in list(_doomed(environment)):
        if path.is_symlink() or not path.exists():
            path.unlink(missing_ok=True)
        elif path.is_dir():
            freed += sum(each.stat().st_size for each in path.rglob("*") if each.is_file() and not each.is_symlink())
            shutil.rmtree(path)
        else:
            freed += path.stat().st_size
            path.unlink()
    return freed


def _doomed(environment: Path) -> Iterator[Path]:
    for packages in environment.glob("lib/python3.*/site-packages"):
        for name in FOLDERS:
            yield from (each for each in packages.rglob(name) if each.is_dir())
        for suffix in SUFFIXES:
            yield from packages.rglob(f"*{suffix}")
        for pattern in UNUSED:
            yield from packages.glob(pattern)
