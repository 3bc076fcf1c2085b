"""Whether a webhook is what it says it is, in the order in which it costs: size, signature, time, and only then its form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from tiphys.watch import webhooks
from tiphys.watch.alerts import Alert, Request
from tiphys.watch.governor.decide import Trigger
from tiphys.watch.governor.senders import Secrets, Sender

DEEPEST = 8
"""Levels of objects and lists in a body."""
_SHOWN = 5

Refusal = Literal["unsigned", "forged", "stale", "malformed", "not_allowed"]
Body = TypeVar("Body", bound=BaseModel)
_STATUS: dict[Refusal, int] = {"unsigned": 401, "forged": 401, "stale": 401, "malformed": 400, "not_allowed": 403}


class RefusedError(Exception):
    """What came is not taken."""

    def __init__(self, why: Refusal, message: str) -> None:
        """Say why, in a word for the counter and in a sentence for the sender."""
        super().__init__(message)
        self.why: Refusal = why
        self.status = _STATUS[why]


class Headers(Protocol):
    """The headers of a request: each may come more than once."""

    def getlist(self, key: str) -> list[str]:
        """All values of one header."""


@dataclass(frozen=True)
class Received:
    """A webhook that may be believed."""

    id: str
    source: Literal["webhook", "alertmanager"]
    sender: str
    trigger: Trigger
    event: Alert | Request
    body: str


def webhook(headers: Headers, body: bytes, secrets: Secrets, now: float) -> Received:
    """Read a Standard Webhook; ``now`` is the wall clock's time. The body has been measured.

    Raises:
        RefusedError: it is unsigned, forged, stale, or of another form than :mod:`tiphys.watch.alerts` says.
    """
    identity, sender, _ = signed(headers, body, secrets, now)
    event = _event(parsed(body))
    return Received(identity, "webhook", sender.name, _trigger(sender, event), event, body.decode())


def signed(headers: Headers, body: bytes, secrets: Secrets, now: float) -> tuple[str, Sender, int]:
    """The id of a body that may be believed, who signed it and when, by its own clock in seconds since 1970; it is not parsed.

    Raises:
        RefusedError: it is unsigned, forged or stale.
    """
    identity, timestamp, signatures = (
        _only(headers, name) for name in (webhooks.ID, webhooks.TIMESTAMP, webhooks.SIGNATURE)
    )
    if not webhooks.is_id(identity):
        raise RefusedError("malformed", f"{webhooks.ID} must be 1 to 128 letters, digits, _ and -")
    sender = secrets.sender(identity, timestamp, body, signatures)
    if sender is None:
        raise RefusedError("forged", "no secret that is known made that signature")
    if not webhooks.is_fresh(timestamp, now):
        message = f"{webhooks.TIMESTAMP} is not within {webhooks.TOLERANCE} s of this machine's clock: sign it anew with the same id"
        raise RefusedError("stale", message)
    return identity, sender, int(timestamp)


def _event(found: Any) -> Alert | Request:
    kind: type[Alert | Request] = Request if found.get("type") == "tiphys.request.v1" else Alert
    return shaped(kind, found)


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of a body: UTF-8, of few levels, each key once, no ``NaN``, no tag in any text.

    Raises:
        RefusedError: it is no such object.
    """
    try:
        text = body.decode("utf-8")
        _measure(text)
        found = json.loads(text, object_pairs_hook=_pairs, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise RefusedError("malformed", "the body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise RefusedError("malformed", f"the body is no JSON: {str(error)[:100]}") from None
    if not isinstance(found, dict):
        raise RefusedError("malformed", "the body must be a JSON object")
    for each in _texts(found):
        if "{{" in each or "\0" in each or (not each.isascii() and _is_half(each)):
            raise RefusedError(
                "malformed", "a text has '{{' in it, which a manifest would fill in, or a character that is none"
            )
    return found


def shaped(kind: type[Body], found: Any) -> Body:
    """What was parsed as a record of that kind. Raises RefusedError: it has another form, or fields that nobody knows."""
    try:
        return kind.model_validate_json(json.dumps(found), strict=True)
    except ValidationError as error:
        listed = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors()[:_SHOWN]
        )
        raise RefusedError("malformed", listed) from None


def _only(headers: Headers, name: str) -> str:
    found = headers.getlist(name)
    if len(found) != 1:
        raise RefusedError(
            "unsigned", f"the header {name} must be there once: webhooks are signed as standardwebhooks.com says"
        )
    return found[0]


def _trigger(sender: Sender, event: Alert | Request) -> Trigger:
    if isinstance(event, Alert) != (sender.trigger == "alert"):
        what = "alerts" if isinstance(event, Alert) else "requests for trainings"
        raise RefusedError("not_allowed", f"the secret of {sender.name} may send no {what}")
    return sender.trigger


def _measure(text: str) -> None:
    """Refuse what is nested too deeply, before a parser recurses into it."""
    level, inside, escaped = 0, False, False
    for char in text:
        if inside:
            inside = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside = True
        elif char in "[{":
            level += 1
            if level > DEEPEST:
                raise RefusedError("malformed", f"the body is nested more than {DEEPEST} levels deep")
        elif char in "]}":
            level -= 1


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key stands twice in one object"
        raise ValueError(message)
    return found


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no number of JSON"
    raise ValueError(message)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _is_half(text: str) -> bool:
    """Whether half of a surrogate pair stands in it, which no UTF-8 has."""
    return any("\ud800" <= char <= "\udfff" for char in text)
