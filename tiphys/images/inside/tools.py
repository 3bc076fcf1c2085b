"""Install what the builder itself needs, in two moves: ``uv`` by its section of the lock, then all of the extra ``images``.

``python3 -m tiphys.images.inside.tools FOLDER requirements.lock`` takes uv alone, with any other file all of it. Debian's Python and
the pip that it brings are enough.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tiphys.images.inside.surroundings import environment
from tiphys.locks import sections


def main(folder: Path, requirements: Path) -> int:
    """Make the folder an environment with what a lock, or a part of it, says."""
    if requirements.name == "requirements.lock":
        text = sections(requirements)["uv"]
        requirements = requirements.with_name("uv.txt")
        requirements.write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    command = [*pip, "--only-binary", ":all:", "--require-hashes", "--requirement", str(requirements)]
    subprocess.run(command, env=environment(), check=True)  # noqa: S603
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
