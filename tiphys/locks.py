"""Read a lock with hashes: one text a package, and what of it is torch's and CUDA's. Stdlib only: the set-up needs it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

LEFT_OUT_FOR_CPU = re.compile(r"torch|triton|nvidia-.*|cuda-.*")


def sections(lock: Path) -> dict[str, str]:
    """Cut a lock into one text a package, by name; what stands before the first has the name ""."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines(keepends=True):
        start = re.match(r"([a-zA-Z0-9._-]+)==", line)
        if start:
            name = start.group(1)
        found[name] = found.get(name, "") + line
    return found


def without_torch(lock: Path) -> str:
    """Drop torch and the CUDA libraries that only it needs."""
    return "".join(text for name, text in sections(lock).items() if not LEFT_OUT_FOR_CPU.fullmatch(name))


def part(lock: Path, pins: Iterable[str]) -> str:
    """The part of a lock with these packages, given as ``name==version``.

    Raises:
        LookupError: a package is not in the lock, or in another version.
    """
    there = sections(lock)
    texts = []
    for pin in sorted(pins):
        name, _, version = pin.partition("==")
        text = there.get(name, "")
        if not re.match(rf"{re.escape(name)}=={re.escape(version)}[ ;\\\n]", text):
            message = f"{pin} is not in {lock.name}: run 'make lock' and commit the result"
            raise LookupError(message)
        texts.append(text)
    return "".join(texts)
