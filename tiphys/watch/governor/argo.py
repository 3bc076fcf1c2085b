"""Argo's API, or the engine's on this machine: where a yes is posted, and where its run is looked at.

Posting the same training again is harmless on both: the engine knows the event's id, and the binding names the run by it, so that
Argo refuses a second one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import urllib3

from tiphys.errors import PermanentError, RetryableError
from tiphys.settings import ArgoSettings
from tiphys.silence import silence

DISCRIMINATOR = "retrain"
"""Under which the binding of ``workflows/retrain.py`` waits."""
TRAINING, COLLECTION = "continuous-training", "collect-outcomes"
ENDED = frozenset({"Succeeded", "Failed", "Error"})
_WORKFLOW, _USE_CASE = "tiphys/workflow", "tiphys/use-case"
_LISTED = ",".join(
    f"items.{each}"
    for each in (
        "metadata.name", "metadata.labels", "metadata.creationTimestamp", "spec.arguments.parameters", "status.phase",
        "status.outputs.parameters",
    )
)  # fmt: skip
_NOT_FOUND, _SERVER, _BUSY = 404, 500, 429


Material = Literal["source", "live", "holdout"]


@dataclass(frozen=True)
class Found:
    """One thing that a training is made of, and the run that told."""

    name: Material
    """``source``: the raw files of a training that reached production; ``live``: the training files of the last collection of live
    data; ``holdout``: the snapshot of the trusted outcomes that belongs to them."""
    value: str
    run: str


class Argo:
    """One server, one namespace."""

    def __init__(self, settings: ArgoSettings, token: str, *, timeout: float = 5.0) -> None:
        """Speak to the server of ``settings``; ``token`` counts where no file has one. A file is read anew each time."""
        self._url = settings.server.rstrip("/")
        self._namespace = quote(settings.namespace, safe="")
        self._token: Callable[[], str] = (
            (lambda: token) if not settings.token_file else Path(settings.token_file).read_text
        )
        more = {"ca_certs": settings.ca_file} if settings.ca_file else {}
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False, **more)  # type: ignore[arg-type]

    def post(self, identity: str, payload: str) -> None:
        """Hand in an event. When this returns, it was taken.

        Raises:
            RetryableError: nothing answers, or it is busy.
            PermanentError: it is refused.
        """
        path = f"/api/v1/events/{self._namespace}/{DISCRIMINATOR}"
        self._ask("POST", path, payload.encode(), {"webhook-id": identity, "x-event-id": identity})

    def phase(self, run: str) -> str | None:
        """The phase of a run, empty before it has one; None where there is no such run. Raises as :meth:`post`."""
        found = self._ask("GET", f"/api/v1/workflows/{self._namespace}/{quote(run, safe='')}?fields=status.phase")
        return None if found is None else str((found.get("status") or {}).get("phase") or "")

    def materials(self) -> dict[str, dict[str, Found]]:
        """Of each use case, what its next training is made of, from the newest runs that say so. Raises as :meth:`post`."""
        found: dict[str, dict[str, Found]] = {}
        for run in self._succeeded(TRAINING):
            given = _named(_of(run, "spec", "arguments"))
            if given.get("promote", "true") == "true" and given.get("source"):
                _keep(found, run, "source", given["source"])
        for run in self._succeeded(COLLECTION):
            told = _named(_of(run, "status", "outputs"))
            _keep(found, run, "live", told.get(f"{COLLECTION}-live-source", ""))
            _keep(found, run, "holdout", _snapshot(told.get(f"{COLLECTION}-snapshots", "")))
        return found

    def _succeeded(self, workflow: str) -> list[dict[str, Any]]:
        """The runs of one workflow that have succeeded, the newest last."""
        query = {"listOptions.labelSelector": f"{_WORKFLOW}={workflow}", "fields": _LISTED}
        found = self._ask("GET", f"/api/v1/workflows/{self._namespace}?{urlencode(query)}") or {}
        runs = [each for each in found.get("items") or [] if (each.get("status") or {}).get("phase") == "Succeeded"]
        return sorted(runs, key=lambda each: str(each["metadata"].get("creationTimestamp")))

    def _ask(
        self, method: str, path: str, body: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        token = self._token().strip().removeprefix("Bearer ")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **(more or {})}
        try:
            reply = self._pool.request(method, self._url + path, headers=headers, body=body)
        except urllib3.exceptions.HTTPError as error:
            message = f"the Argo server at {self._url} does not answer: {silence(error)}"
            raise RetryableError(message) from error
        if reply.status == _NOT_FOUND and method == "GET":
            return None
        if reply.status >= 300:  # noqa: PLR2004
            message = f"the Argo server at {self._url} answers {reply.status} to {method} {path.partition('?')[0]}: {reply.data[:200].decode(errors='replace')}"
            raise (RetryableError if reply.status >= _SERVER or reply.status == _BUSY else PermanentError)(message)
        try:
            found: dict[str, Any] = json.loads(reply.data or b"{}")
        except ValueError as error:
            message = f"what answers at {self._url} is no Argo server: {reply.data[:100]!r}"
            raise RetryableError(message) from error
        return found


def _keep(found: dict[str, dict[str, Found]], run: Mapping[str, Any], name: Material, value: str) -> None:
    """Remember the newest of each name."""
    use_case = str(_of(run, "metadata", "labels").get(_USE_CASE, ""))
    found.setdefault(use_case, {})[name] = Found(name, value, run["metadata"]["name"])


def _of(run: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for name in path:
        run = run.get(name) or {}
    return run


def _named(holder: Mapping[str, Any]) -> dict[str, str]:
    """Parameters by name."""
    return {str(each.get("name")): str(each.get("value", "")) for each in holder.get("parameters") or []}


def _snapshot(snapshots: str) -> str:
    """The snapshot of ``labelled`` among those that a collection told; empty where there is none."""
    try:
        return str(json.loads(snapshots)["labelled"])
    except (ValueError, KeyError, TypeError):
        return ""
