"""What a build that was cut off leaves in buildah's storage: working containers that fill the disk and that nobody takes away."""

from __future__ import annotations

import json
import re
import subprocess

from tiphys.images.recipes import HIDDEN

_OURS = re.compile(r"-working-container(-\d+)?$")
_MADE_FROM = re.compile(rf"/({'|'.join(HIDDEN)}):")


def containers() -> frozenset[str]:
    """The ids of all working containers that are there."""
    return frozenset(each["id"] for each in _listed())


def remove_new(before: frozenset[str]) -> int:
    """Remove the stages of builds that were not there before, and say how many.

    A stage starts from an image that has no name or that only others are made from; whatever runs starts from another.
    """
    doomed = [
        each["id"]
        for each in _listed()
        if each["id"] not in before
        and _OURS.search(each["containername"])
        and (not each["imagename"] or _MADE_FROM.search(each["imagename"]))
    ]
    if doomed:
        subprocess.run(["buildah", "rm", *doomed], capture_output=True, check=False)  # noqa: S603, S607
    return len(doomed)


def _listed() -> list[dict[str, str]]:
    done = subprocess.run(["buildah", "containers", "--json"], capture_output=True, text=True, check=False)  # noqa: S607
    return json.loads(done.stdout or "[]") or [] if done.returncode == 0 else []
