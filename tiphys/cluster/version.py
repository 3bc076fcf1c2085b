"""Which Argo is new enough."""

from __future__ import annotations

import re

from tiphys.cluster.errors import ClusterError

OLDEST = (3, 7)
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.\d+")
_UNNAMED = (0, 0)  # what a build without a release tag calls itself


def parse(version: str) -> tuple[int, int] | None:
    """(4, 1) of v4.1.2; None where it says nothing, as `latest` or v0.0.0 of a build from source do not."""
    match = _VERSION.match(version)
    found = (int(match[1]), int(match[2])) if match else _UNNAMED
    return None if found == _UNNAMED else found


def check_version(url: str, version: str) -> None:
    """Raises ClusterError for an Argo that is too old; one that does not say how old it is is taken."""
    found = parse(version)
    if found is not None and found < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        msg = f"{url} runs Argo {version}, and these manifests need {wanted} or newer: upgrade Argo Workflows there"
        raise ClusterError(msg)
