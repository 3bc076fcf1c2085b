"""Which paths of the V2 inference protocol there are (KServe's REST): everything else of Triton's API is not reachable.

A path is matched as it was sent, undecoded, and the path for Triton is built anew from its parts: ``%2e%2e``, ``//``, encoded
slashes and other cases match nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_ENVIRONMENTS = {"": "production", "/canary": "canary", "/staging": "staging"}
_PATH = re.compile(
    r"(?P<environment>|/canary|/staging)/v2"
    r"(?:/(?P<server>health/(?:live|ready))"
    r"|/models/(?P<model>[a-z][a-z0-9_]{0,127})(?:/versions/(?P<version>[0-9]{1,18}))?(?:/(?P<verb>ready|config|infer))?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class V2Path:
    """One path, in parts."""

    environment: str
    server: str
    """``health/live``, ``health/ready`` or nothing; where no model is named."""
    model: str
    version: str
    verb: str
    """``ready``, ``config``, ``infer``, or nothing for the metadata."""

    @property
    def method(self) -> str:
        """How it is asked."""
        return "POST" if self.verb == "infer" else "GET"

    def of_triton(self, version: str) -> str:
        """The same for one version, as Triton has it."""
        if not self.model:
            return f"/v2/{self.server}" if self.server else "/v2"
        path = f"/v2/models/{self.model}/versions/{version}"
        return f"{path}/{self.verb}" if self.verb else path


@lru_cache(maxsize=1024)
def parse(path: str) -> V2Path | None:
    """Take a path apart; None if there is no such one."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    parts = {name: value or "" for name, value in found.groupdict().items()}
    return V2Path(**{**parts, "environment": _ENVIRONMENTS[parts["environment"]]})
