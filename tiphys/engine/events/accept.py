"""Takes an event from outside: when this returns, the event is on the disk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tiphys.engine.errors import EventRefusedError, ManifestError
from tiphys.engine.events.store import EventStore
from tiphys.engine.nesting import check_tree

if TYPE_CHECKING:
    from tiphys.engine.engine import Engine

LARGEST = 1 << 20
"""Bytes of a payload as JSON."""
_LARGEST_METADATA = 64 << 10
_LONGEST_NAME = 253
_LONGEST_ID = 512
_IDS = ("webhook-id", "x-event-id")
"""Headers in which a sender may give an event's id, the first of them counts; the one of Standard Webhooks, and ours."""


def from_headers(headers: Iterable[tuple[str, str]]) -> tuple[dict[str, list[str]], str]:
    """The metadata of an event, and the id that its sender gives it, from the headers of a request.

    As on Argo only headers that begin with `x-` are shown to expressions, in lower case, each with a list of values.
    """
    metadata: dict[str, list[str]] = {}
    ids: dict[str, str] = {}
    for name, value in headers:
        if name.lower().startswith("x-"):
            metadata.setdefault(name.lower(), []).append(value)
        if name.lower() in _IDS:
            ids.setdefault(name.lower(), value.strip())
    return metadata, next((ids[name] for name in _IDS if ids.get(name)), "")


def accept(  # noqa: PLR0913, PLR0917 - an event has that many parts
    engine: Engine,
    namespace: str,
    discriminator: str,
    payload: Any,
    metadata: Mapping[str, Sequence[str]] | None = None,
    event_id: str = "",
) -> str:
    """Keep an event and wake the engine; its id here. `payload` is any value that JSON has.

    `event_id` is the sender's: the same one again, for the same namespace and discriminator, is taken and starts nothing.

    Raises:
        EventRefusedError: too large, or nothing that JSON could carry.
        EventsFullError: too many wait to be delivered.
    """
    for what, text, longest in (
        ("namespace", namespace, _LONGEST_NAME), ("discriminator", discriminator, _LONGEST_NAME),
        ("id", event_id, _LONGEST_ID),
    ):  # fmt: skip
        if len(text) > longest or not text.isprintable():
            msg = f"the event's {what} is no text of at most {longest} printable characters: shorten it"
            raise EventRefusedError(msg)
    text = _written(payload)
    if len(text) > LARGEST:
        msg = f"the event's payload has {len(text)} bytes, {LARGEST} are allowed: send a reference to the data instead"
        raise EventRefusedError(msg)
    given = {name: list(values) for name, values in (metadata or {}).items()}
    if sum(len(name) + sum(map(len, values)) for name, values in given.items()) > _LARGEST_METADATA:
        msg = f"the event's x- headers have more than {_LARGEST_METADATA} bytes: put the data into the payload"
        raise EventRefusedError(msg)
    with EventStore(engine.state) as store:
        made = store.add(namespace, discriminator, text, given, time.time(), event_id)
    engine.wake()
    return made


def _written(payload: Any) -> str:
    """The payload in ASCII JSON. Raises EventRefusedError."""
    try:
        check_tree(payload, "the event's payload")
        return json.dumps(payload, allow_nan=False, separators=(",", ":"))
    except ManifestError as problem:
        raise EventRefusedError(str(problem)) from None
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"the event's payload is nothing that JSON could carry ({error}): send JSON"
        raise EventRefusedError(msg) from None
