"""The small client of the governor: signs an alert or a request, sends it until it is taken, and reads what came of it.

The same id sent again is the same event, for ever: whoever may be cut off makes ids that it finds again, by :func:`event_id`.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import urllib3
from pydantic import BaseModel, ConfigDict, ValidationError

from tiphys.errors import PermanentError, RetryableError
from tiphys.silence import silence
from tiphys.watch import webhooks
from tiphys.watch.alerts import Alert, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.settings import GovernorSettings

_OK = range(200, 300)
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class Told(BaseModel):
    """An event as the governor tells of it; times are seconds since 1970, 0 for what is not yet."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    number: int
    source: str
    sender: str
    type: str
    use_case: str
    kind: str = ""
    subject: str = ""
    severity: str = ""
    text: str = ""
    received_at: float
    verdict: str
    """``yes`` and ``no`` are for ever; ``wait``: not decided yet."""
    reason: str
    """Why, in plain words."""
    counted: dict[str, Any] = {}
    """What was counted against it."""
    decided_at: float = 0.0
    run: str = ""
    """The training that a yes started, as soon as it is known."""
    run_phase: str = ""
    body: dict[str, Any] = {}
    """The event as it was sent; only where one event is asked for."""


@dataclass(frozen=True)
class Reply:
    """The governor took an event."""

    event: Told
    is_new: bool
    """False: it had that id before, and nothing was done."""


def event_id(*parts: str) -> str:
    """An id for the event that these parts name: the same parts give the same id."""
    return "e-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def send(
    settings: GovernorSettings, event: Alert | Request, identity: str, *, timeout: float = 10.0, tries: int = 6
) -> Reply:
    """Send an event until it is taken: when this returns, it is on the governor's disk. Each try is signed anew.

    Raises:
        PermanentError: the governor refuses it: its form, its id or our secret.
        RetryableError: the governor does not answer, or is busy, after so many ``tries``.
        SettingsError: our secret has not the form of one.
    """
    body = event.model_dump_json(exclude_none=True).encode()
    status, found = _until_taken(settings, "/v1/alerts", identity, body, timeout, tries)
    return Reply(_read(found, settings.url), is_new=status == 201)  # noqa: PLR2004


def send_figures(settings: GovernorSettings, text: str, *, timeout: float = 10.0, tries: int = 6) -> None:
    """Send the figures of a look, in Prometheus' text format, until they are taken. Raises as :func:`send`."""
    body = text.encode()
    _until_taken(settings, "/v1/figures", event_id("figures", text), body, timeout, tries)


def _until_taken(  # noqa: PLR0913, PLR0917 - all that a try needs
    settings: GovernorSettings, path: str, identity: str, body: bytes, timeout: float, tries: int
) -> tuple[int, Any]:
    """Sign and send, again where that helps; status and body of the answer. Raises as :func:`send`."""
    pause = _FIRST_PAUSE
    for left in reversed(range(tries)):
        signed = webhooks.sign(settings.secret, identity, int(time.time()), body)
        headers = {**signed, "Content-Type": "application/json" if body.startswith(b"{") else "text/plain"}
        try:
            status, found = _ask(settings, path, headers, timeout, body)
        except RetryableError:
            if not left:
                raise
        else:
            if status in _OK:
                return status, found
            if status not in _AGAIN or not left:
                raise _refusal(settings.url, status, found)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    message = "an event is sent once at least: tries must not be 0"
    raise PermanentError(message)


def events(settings: GovernorSettings, limit: int = 100, *, use_case: str = "", timeout: float = 10.0) -> list[Told]:
    """The latest events with their decisions, newest first. Raises as :func:`event`."""
    query = f"?limit={limit}" + (f"&use_case={use_case}" if use_case else "")
    found = _got(settings, f"/v1/events{query}", timeout)
    return [_read(each, settings.url) for each in found.get("events", [])]


def event(settings: GovernorSettings, identity: str, *, timeout: float = 10.0) -> Told:
    """One event by its id, or by how that begins where only one begins so.

    Raises:
        PermanentError: there is none, or our token is not known.
        RetryableError: the governor does not answer.
    """
    if not webhooks.is_id(identity):
        message = f"{identity[:60]!r} is no id of an event: 'tiphys events list' shows them"
        raise PermanentError(message)
    return _read(_got(settings, f"/v1/events/{identity}", timeout), settings.url)


def claim(settings: GovernorSettings, run: str, said: Mapping[str, str], *, timeout: float = 10.0) -> tuple[str, str]:
    """Say that a yes started a run; the event's id and the reason of the yes.

    Args:
        settings: where the governor is, and a token for claims.
        run: the run's name.
        said: its ``uid`` and what it was started with, as :class:`tiphys.watch.governor.claims.Claim` has it.
        timeout: in seconds.

    Raises:
        PermanentError: none did, with other parameters, or another run has it.
        RetryableError: the governor does not answer.
    """
    headers = {"Authorization": f"Bearer {settings.token}", "Content-Type": "application/json"}
    body = json.dumps(said).encode()
    status, found = _ask(settings, f"/v1/trainings/{quote(run, safe='')}/claim", headers, timeout, body)
    if status not in _OK:
        raise _refusal(settings.url, status, found)
    return str(found["event"]), str(found["reason"])


def _got(settings: GovernorSettings, path: str, timeout: float) -> Any:
    headers = {"Authorization": f"Bearer {settings.token}"}
    status, found = _ask(settings, path, headers, timeout)
    if status not in _OK:
        raise _refusal(settings.url, status, found)
    return found


def _ask(
    settings: GovernorSettings, path: str, headers: dict[str, str], timeout: float, body: bytes | None = None
) -> tuple[int, Any]:
    url, method = settings.url.rstrip("/") + path, "GET" if body is None else "POST"
    try:
        reply = urllib3.request(method, url, headers=headers, body=body, timeout=timeout, retries=False, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        message = f"the governor at {settings.url} does not answer: {silence(error)}; 'tiphys status' says if it is up"
        raise RetryableError(message) from error
    try:
        return reply.status, json.loads(reply.data)
    except ValueError as error:
        message = f"what answers at {settings.url} is no governor: it sends no JSON: {reply.data[:100]!r}"
        raise RetryableError(message) from error


def _refusal(url: str, status: int, found: Any) -> PermanentError | RetryableError:
    said = found.get("error") if isinstance(found, dict) else None
    text = said.get("message") if isinstance(said, dict) else found
    message = f"the governor at {url} answers {status}: {text}"
    return RetryableError(message) if status in _AGAIN else PermanentError(message)


def _read(found: Any, url: str) -> Told:
    try:
        return Told.model_validate(found)
    except ValidationError as error:
        message = f"the governor at {url} sends no event that this version understands: are both of one version? ({error.error_count()} fields)"
        raise RetryableError(message) from error
