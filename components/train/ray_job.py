"""The one door to Ray: submits a job to Ray's job server over HTTP, follows its log, stops it.

Ray's own client does the same calls but its import takes two seconds and more. Knows nothing of models. Nothing secret goes
into a job: its record, which anyone with the token may read, holds a command with an address, and that is all.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import urllib3

from tiphys.errors import PermanentError, RetryableError
from tiphys.settings import RaySettings, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_POLL_S = 0.3
_API = "4"
"""Version of Ray's job API that this module speaks."""
_GOING = {"PENDING", "RUNNING"}
_AWAY_S = 30.0
"""Seconds that the job server may be silent before the step gives up and is tried again."""


@dataclass(frozen=True)
class Ended:
    """How a job ended: SUCCEEDED, FAILED or STOPPED, and what Ray says of it."""

    status: str
    message: str


class RayJobs:
    """A client of one Ray head's job server."""

    def __init__(self, settings: RaySettings | None = None) -> None:
        """Make the client; nothing is connected yet."""
        settings = load(RaySettings) if settings is None else settings
        self.url = settings.url.rstrip("/")
        retries = urllib3.Retry(5, backoff_factor=0.2, status_forcelist=(502, 503, 504), allowed_methods=None)
        self._http = urllib3.PoolManager(
            headers={"Authorization": f"Bearer {settings.token}"}, timeout=urllib3.Timeout(10.0), retries=retries
        )

    def submit(self, name: str, command: str, notes: Mapping[str, str]) -> None:
        """Submit a job under that submission id; one that goes on under it is joined, one that ended makes room."""
        self._require_known()
        earlier = self.status(name)
        if earlier is not None and earlier.status not in _GOING:
            self._send("DELETE", f"/api/jobs/{name}")
        body = {"entrypoint": command, "submission_id": name, "metadata": dict(notes)}
        answer = self._send("POST", "/api/jobs/", json=body)
        if answer.status < 300 or self.status(name) is not None:  # noqa: PLR2004 - HTTP's own number
            return
        message = f"Ray at {self.url} refused job {name!r}: {answer.status} {_text(answer)}"
        raise (RetryableError if answer.status >= 500 else PermanentError)(message)  # noqa: PLR2004

    def _require_known(self) -> None:
        answer = self._send("GET", "/api/version")
        told = _json(answer) if answer.status < 300 else {}  # noqa: PLR2004
        if str(told.get("version")) != _API:
            spoken = (
                f"version {told['version']} of its job API (Ray {told.get('ray_version')})" if told else "no job API"
            )
            message = (
                f"Ray at {self.url} speaks {spoken} and this step speaks version {_API}: "
                "TIPHYS_RAY_URL must be the dashboard of a Ray of this release"
            )
            raise PermanentError(message)

    def status(self, name: str) -> Ended | None:
        """Tell the state of a job; None where there is none."""
        answer = self._send("GET", f"/api/jobs/{name}")
        if answer.status == 404:  # noqa: PLR2004
            return None
        if answer.status >= 300:  # noqa: PLR2004
            message = f"Ray at {self.url} does not tell of job {name!r}: {answer.status} {_text(answer)}"
            raise RetryableError(message)
        told: dict[str, Any] = answer.json()
        return Ended(str(told["status"]), str(told.get("message") or ""))

    def follow(self, name: str, say: Callable[[str], None], meanwhile: Callable[[], None] = lambda: None) -> Ended:
        """Wait for a job's end and hand on each line of its log as it comes."""
        shown = 0
        while True:
            now = self.status(name)
            shown = self._new_lines(name, shown, say, last=now is None or now.status not in _GOING)
            if now is None:
                message = f"Ray at {self.url} lost job {name!r}: its head was started anew; the next attempt resumes"
                raise RetryableError(message)
            if now.status not in _GOING:
                return now
            meanwhile()
            time.sleep(_POLL_S)

    def stop(self, name: str) -> None:
        """Stop a job and its workers; one that ended or is unknown is no error."""
        self._send("POST", f"/api/jobs/{name}/stop")

    def _new_lines(self, name: str, shown: int, say: Callable[[str], None], *, last: bool) -> int:
        answer = self._send("GET", f"/api/jobs/{name}/logs")
        if answer.status >= 300:  # noqa: PLR2004 - a job that just begins has no log yet
            return shown
        text = str(answer.json().get("logs") or "")[shown:]
        whole = text if last else text[: text.rfind("\n") + 1]
        for line in whole.splitlines():
            say(line)
        return shown + len(whole)

    def _send(self, method: str, path: str, **content: Any) -> urllib3.BaseHTTPResponse:
        until = time.monotonic() + _AWAY_S
        while True:
            try:
                answer = self._http.request(method, self.url + path, **content)
            except urllib3.exceptions.HTTPError as error:
                if time.monotonic() > until:
                    message = f"Ray at {self.url} does not answer ({type(error).__name__}): is its head up, and is TIPHYS_RAY_URL its dashboard?"
                    raise RetryableError(message) from error
                time.sleep(1.0)
            else:
                if answer.status in {401, 403}:
                    message = f"Ray at {self.url} refused the token: TIPHYS_RAY_TOKEN is not this cluster's"
                    raise PermanentError(message)
                return answer


def submission_id(run: str, node: str, attempt: int, inputs: str) -> str:
    """Name a job after run, node, attempt and the digest of its inputs; odd characters become ``-``.

    The digest keeps apart what a person starts by hand, where run, node and attempt are always the same.
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{run}.{node}.{attempt}.{inputs[:8]}").strip("-.")


def _json(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _text(answer: urllib3.BaseHTTPResponse) -> str:
    return str(answer.data[:300].decode("utf-8", "replace")).strip()
