"""Refuses a manifest that is wrong, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiphys.engine.images import ImageTable

Json = dict[str, Any]


def validate(
    workflow: Json, spec: Json, documents: list[Json], find: Callable[[str, str], Json | None], images: ImageTable
) -> list[str]:
    """Notes on what is advisory. Raises ManifestError."""
    return []
