"""Argo's API, or the engine's on this machine: where a yes is posted, and where its run is looked at.

Posting the same training again is harmless on both: the engine knows the event's id, and the binding names the run by it, so that
Argo refuses a second one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from tiphys.errors import PermanentError, RetryableError
from tiphys.settings import ArgoSettings
from tiphys.silence import silence

DISCRIMINATOR = "retrain"
"""Under which the binding of ``workflows/retrain.py`` waits."""
TRAINING = "continuous-training"
ENDED = frozenset({"Succeeded", "Failed", "Error"})
_WORKFLOW, _USE_CASE = "tiphys/workflow", "tiphys/use-case"
_LISTED = "items.metadata.name,items.metadata.labels,items.metadata.creationTimestamp,items.spec.arguments.parameters,items.status.phase"
_NOT_FOUND, _SERVER, _BUSY = 404, 500, 429


@dataclass(frozen=True)
class Source:
    """The raw files of a training that reached production, and the run that used them."""

    source: str
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

    def sources(self) -> dict[str, Source]:
        """Of each use case, the raw files of the newest training that reached production. Raises as :meth:`post`."""
        query = {"listOptions.labelSelector": f"{_WORKFLOW}={TRAINING}", "fields": _LISTED}
        found = self._ask("GET", f"/api/v1/workflows/{self._namespace}?{urlencode(query)}") or {}
        runs = [each for each in found.get("items") or [] if _of(each, "status").get("phase") == "Succeeded"]
        newest: dict[str, Source] = {}
        for run in sorted(runs, key=lambda each: str(each["metadata"].get("creationTimestamp"))):
            given = {
                each.get("name"): each.get("value") for each in _of(run, "spec", "arguments").get("parameters") or []
            }
            use_case = _of(run, "metadata", "labels").get(_USE_CASE)
            if use_case and given.get("source") and given.get("promote", "true") == "true":
                newest[use_case] = Source(given["source"], run["metadata"]["name"])
        return newest

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


def _of(run: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for name in path:
        run = run.get(name) or {}
    return run
