"""Cut out of the lock what one extra needs: ``python -m tiphys.images.inside.lock EXTRA [EXTRA...]``.

Writes ``requirements.txt`` with every package of the extra exactly as ``requirements.lock`` has it, hashes included. A
later stage installs that file, so an environment is made anew only if its own part of the lock has changed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tiphys.images.inside.surroundings import environment
from tiphys.locks import part

LOCK = Path("requirements.lock")
OUTPUT = Path("requirements.txt")


def main(extras: Sequence[str]) -> int:
    """Write the part of the lock."""
    OUTPUT.write_text(part(LOCK, pins(extras)), encoding="utf-8")
    return 0


def pins(extras: Sequence[str]) -> list[str]:
    """What the extras of ``pyproject.toml`` come to on this platform, as ``name==version``."""
    chosen = [word for extra in extras for word in ("--extra", extra)]
    command = ["uv", "pip", "compile", "pyproject.toml", *chosen, "--constraints", str(LOCK), "--quiet"]
    command += ["--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
