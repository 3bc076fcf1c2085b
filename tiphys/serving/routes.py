"""What the gateway has mounted: for each use case a route to production and one to staging, ready to be asked.

It knows use cases by name and nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from tiphys.release.records import ENVIRONMENTS
from tiphys.serving.inference import Inference, packer
from tiphys.usecase import Api, UseCase

PREFIXES = {"production": "/v1/", "staging": "/staging/v1/"}
"""Where an environment's routes begin."""


@dataclass
class Route:
    """One mounted path."""

    path: str
    environment: str
    model: str
    api: Api
    adapter: TypeAdapter[Any]
    pack: Callable[[Mapping[str, int | float]], bytes]
    inference: Inference
    in_flight: int = field(default=0, init=False)


class Routes:
    """All mounted paths."""

    def __init__(self, models: Mapping[str, Inference]) -> None:
        """Mount nothing yet; ``models`` has a Triton for each environment."""
        self._models = models
        self.by_path: dict[str, Route] = {}
        self._mounted: set[str] = set()

    def mount(self, use_case: str) -> bool:
        """Mount a use case by name, once; say whether anything was new.

        Raises:
            SettingsError: there is no such use case, or it has no api.
        """
        if use_case in self._mounted:
            return False
        found = UseCase(use_case)
        api, adapter = found.api, TypeAdapter[Any](found.api.request)
        pack = packer(found.name, found.features, found.target.name)
        for environment in ENVIRONMENTS:
            path = f"{PREFIXES[environment]}{api.route}"
            route = Route(path, environment, found.name, api, adapter, pack, self._models[environment])
            self.by_path.setdefault(path, route)
        self._mounted.add(use_case)
        return True

    def described(self) -> list[tuple[str, str, str, Api]]:
        """List (path, environment, model, api) for the documentation, production first."""
        found = sorted(self.by_path.values(), key=lambda each: (each.environment, each.path))
        return [(each.path, each.environment, each.model, each.api) for each in found]
