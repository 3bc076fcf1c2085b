"""What a build that was cut off leaves in buildah's storage: working containers that fill the disk and that nobody takes away."""

from __future__ import annotations

import json
import re
import subprocess

from tiphys.images.recipes import HIDDEN

_STAGE = re.compile(r"(^|-)working-container(-\d+)?$")
_MADE_FROM = re.compile(rf"^scratch$|/({'|'.join(HIDDEN)}):")


def stages() -> frozenset[str]:
    """The ids of the working containers that are stages of builds.

    A stage starts from an image that has no name or that only others are made from; whatever runs starts from another.
    """
    return frozenset(
        each["id"]
        for each in _listed()
        if _STAGE.search(each["containername"]) and (not each["imagename"] or _MADE_FROM.search(each["imagename"]))
    )


def remove_new(before: frozenset[str]) -> None:
    """Remove the stages that were not there before."""
    if doomed := stages() - before:
        subprocess.run(["buildah", "rm", *doomed], capture_output=True, check=False)  # noqa: S603, S607


def _listed() -> list[dict[str, str]]:
    done = subprocess.run(["buildah", "containers", "--json"], capture_output=True, text=True, check=False)  # noqa: S607
    return json.loads(done.stdout or "[]") or [] if done.returncode == 0 else []
