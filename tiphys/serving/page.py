"""The agent's page: what its Triton answers with, for gateways that wait for news of it.

Each change gets the next number. Numbers start anew with the agent, so the page also carries a random text of this life of it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from typing import Any

from tiphys.serving.manifest import FALLBACK, Manifest
from tiphys.serving.memory import Served

LONGEST_WAIT = 20.0
"""Most seconds that a reader may wait for news in one request."""
_WAITING = 64
"""Most readers that wait at once; who comes then is answered at once."""


class Page:
    """The page as it is now."""

    def __init__(self, environment: str) -> None:
        """Begin with no model."""
        self._environment = environment
        self._started = secrets.token_hex(8)
        self._changed = threading.Condition()
        self._waiting = threading.BoundedSemaphore(_WAITING)
        self._number = 1
        self._models: Mapping[str, Mapping[str, Any]] = {}

    def publish(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        """Say what serves now; if that is news, wake everyone who waits for it."""
        with self._changed:
            if models != self._models:
                self._models = models
                self._number += 1
                self._changed.notify_all()

    def read(self, after: int | None = None, wait: float = 0.0) -> dict[str, Any]:
        """Return the page; with ``after``, wait up to ``wait`` seconds for one with a higher number.

        A number that this life of the agent never had is one of a life before: there is news.
        """
        if after is not None and wait > 0 and self._waiting.acquire(blocking=False):
            try:
                with self._changed:
                    self._changed.wait_for(lambda: self._number != after, min(wait, LONGEST_WAIT))
            finally:
                self._waiting.release()
        with self._changed:
            return {
                "number": self._number,
                "started": self._started,
                "environment": self._environment,
                "models": self._models,
            }


def entry(served: Served, loaded: list[str], manifest: Manifest, config: str) -> dict[str, Any]:
    """Describe one model: which version should answer, which are ready, and how they are asked."""
    release = served.release
    fallback = manifest.files.get(FALLBACK)
    inputs, outputs = signature(manifest, config)
    return {
        "use_case": release.use_case,
        "version": served.version,
        "loaded": loaded,
        "generation": release.generation,
        "model_version": release.model_version,
        "manifest_sha256": release.manifest_sha256,
        "image": release.image,
        "passport": release.passport,
        "share": release.share,
        "shadow": release.shadow,
        "until": release.until.isoformat() if release.until else None,
        "inputs": inputs,
        "outputs": outputs,
        "fallback_sha256": fallback.sha256 if fallback else "",
    }


def signature(manifest: Manifest, config: str) -> tuple[dict[str, str], list[str]]:
    """Return the names and types of a model's inputs and the names of its outputs.

    Repositories of before manifests told them have them in Triton's configuration alone.
    """
    if manifest.inputs and manifest.outputs:
        return dict(manifest.inputs), list(manifest.outputs)
    return _of_config(config)


_TYPES = {"TYPE_INT64": "int64", "TYPE_FP32": "float32"}


def _of_config(config: str) -> tuple[dict[str, str], list[str]]:
    words = config.replace("{", " { ").replace("[", " [ ").split()
    found: dict[str, dict[str, str]] = {"input": {}, "output": {}}
    section = ""
    for at, word in enumerate(words[:-3]):
        if word in found and words[at + 1] == "[":
            section = word
        elif word == "name:" and section and words[at + 2] == "data_type:":
            found[section][words[at + 1].strip('"')] = _TYPES.get(words[at + 3], words[at + 3])
    return found["input"], list(found["output"])
