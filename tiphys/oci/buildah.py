"""Asking buildah, where a step builds or starts an image with it."""

from __future__ import annotations

import subprocess

from tiphys.errors import PermanentError


def buildah(*words: str) -> str:
    """Run it to its end; returns what it prints.

    Raises:
        PermanentError: it failed; the end of what it complained of is in the message.
    """
    done = subprocess.run(["buildah", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        message = f"buildah {words[0]} failed: {done.stderr.strip()[-500:]}"
        raise PermanentError(message)
    return done.stdout.strip()
