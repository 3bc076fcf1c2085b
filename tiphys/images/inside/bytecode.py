"""Compile bytecode for good: ``python -m tiphys.images.inside.bytecode FOLDER``.

It is never checked against its source, because nothing in an image changes; so file times don't matter and are settled, too.
"""

from __future__ import annotations

import compileall
import py_compile
import sys
from pathlib import Path

from tiphys.images.inside.times import settle


def compile_tree(folder: Path, root: Path = Path("/")) -> None:
    """Compile all below the folder, as if `root` were the root of the file system."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if root == Path("/"):
        compileall.compile_dir(folder, quiet=2, workers=0, invalidation_mode=mode)
    else:
        compileall.compile_dir(folder, quiet=2, workers=0, invalidation_mode=mode, stripdir=str(root), prependdir="/")
    settle(folder)


if __name__ == "__main__":
    compile_tree(Path(sys.argv[1]))
