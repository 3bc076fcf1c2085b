"""Where each environment's typed routes begin at the gateway."""

from __future__ import annotations

from collections.abc import Mapping

PREFIXES: Mapping[str, str] = {"production": "/v1/", "canary": "/canary/v1/", "staging": "/staging/v1/"}
