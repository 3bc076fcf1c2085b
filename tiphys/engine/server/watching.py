"""Watching runs: an event for each that is there, then one for each that changes, always with its latest state."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tiphys.engine.engine import Engine
from tiphys.engine.journal import Change, Summary
from tiphys.engine.server.call import Call
from tiphys.engine.server.desk import Desk
from tiphys.engine.server.feed import Subscription
from tiphys.engine.server.fields import Fields
from tiphys.engine.server.listing import Choice, parse_choice
from tiphys.engine.server.lookup import find_run
from tiphys.engine.server.rendering import NOT_SHOWN, chosen, encode
from tiphys.engine.server.streams import NONE, Messages, Stream, begun, silence

_BREATH = 0.01
"""Seconds between two rounds: what changes meanwhile is told once."""
ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


async def watch_workflows(call: Call) -> Stream:
    """`GET /api/v1/workflow-events/{namespace}`."""
    choice = parse_choice(call.query, call.path.get("namespace", ""))
    if choice.name:
        found = await call.desk.read(lambda engine: find_run(engine, choice.namespace, choice.name))
        others = tuple(clause for clause in choice.fields if clause[0] != "metadata.name")
        choice = Choice(choice.namespace, (*others, ("metadata.name", "=", found.name)), choice.labels)
    since = call.query.number("listOptions.resourceVersion") or None
    seconds = call.query.number("listOptions.timeoutSeconds")
    fields = Fields.parse(call.query.text("fields"), "result.object.")
    watch = _Watch(call.desk, choice, fields)
    return Stream(call.request, await begun(watch.messages(since, seconds)))


async def watch_events(call: Call) -> Stream:
    """`GET /api/v1/stream/events/{namespace}`: Kubernetes' events. There are none here: the stream stays open and silent."""
    return Stream(call.request, await begun(silence()))


class _Watch:
    """One watch: which runs its client knows of."""

    def __init__(self, desk: Desk, choice: Choice, fields: Fields) -> None:
        self._desk = desk
        self._choice = choice
        self._fields = fields
        self._known: dict[str, int] = {}
        """The version of each run that the client has."""

    async def messages(self, since: int | None, seconds: int | None) -> Messages:
        """What there is, or what has changed since that version; then every change, for so many seconds."""
        deadline = asyncio.get_running_loop().time() + seconds if seconds else None
        with self._desk.feed.subscribe() as subscription:
            runs, gone = await self._desk.read(lambda engine: self._start(engine, since))
            yield NONE
            for change in gone:
                yield [_event(DELETED, _remains(change, self._fields))]
            for summary in reversed(runs):
                if since is None or summary.version > since:
                    async for message in self._told(summary):
                        yield message
                else:
                    self._known[summary.name] = summary.version
            while changes := await _news(subscription, deadline):
                for change in changes:
                    async for message in self._changed(change):
                        yield message

    def _start(self, engine: Engine, since: int | None) -> tuple[list[Summary], list[Change]]:
        gone = [] if since is None else [change for change in engine.journal.changes(since) if change.deleted]
        meant = [change for change in gone if self._choice.matched(change)]
        runs = self._desk.catalog.runs(engine.journal)[1]
        return [summary for summary in runs if self._choice.matches(summary)], meant

    async def _changed(self, change: Change) -> Messages:
        summary = None if change.deleted else self._desk.feed.summary(change.name)
        if summary is not None and self._choice.matches(summary):
            async for message in self._told(summary):
                yield message
        elif self._known.pop(change.name, None) is not None:
            yield [_event(DELETED, _remains(change, self._fields))]

    async def _told(self, summary: Summary) -> Messages:
        told = self._known.get(summary.name)
        if told is not None and told >= summary.version:
            return  # it was read with what there is
        verb = ADDED if told is None else MODIFIED
        with suppress(*NOT_SHOWN):  # that it is gone is news of its own
            body = await self._desk.read(lambda engine: self._desk.rendered.of(engine, summary, self._fields))
            self._known[summary.name] = summary.version
            yield [_event(verb, body)]


async def _news(subscription: Subscription, deadline: float | None) -> list[Change]:
    """What has changed, at least one; none if the deadline, in the event loop's time, was there first."""
    try:
        async with asyncio.timeout_at(deadline):  # within one await: a stream may have another task take each message
            await subscription.sign.wait()
            await asyncio.sleep(_BREATH)
    except TimeoutError:
        return []
    return subscription.take()


def _remains(change: Change, fields: Fields) -> bytes:
    """What can be said of a run that is gone, or is none of those that are watched any more."""
    metadata = {
        "name": change.name, "namespace": change.namespace, "uid": change.uid, "resourceVersion": str(change.version),
    }  # fmt: skip
    return encode(chosen({"metadata": metadata, "spec": {}, "status": {}}, fields))


def _event(verb: str, body: bytes) -> bytes:
    return b'{"type":"' + verb.encode() + b'","object":' + body + b"}"
