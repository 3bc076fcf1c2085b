"""What steps print, line by line, as entries of a stream: what is there, and with `follow` what comes until the run has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import re2

from tiphys.engine.errors import UnknownRunError
from tiphys.engine.server.call import Call
from tiphys.engine.server.desk import Desk
from tiphys.engine.server.log_files import Tails, Wanted
from tiphys.engine.server.lookup import find_run
from tiphys.engine.server.refusals import Refusal, invalid
from tiphys.engine.server.rendering import encode
from tiphys.engine.server.selectors import parse_labels
from tiphys.engine.server.streams import NONE, Messages, Stream, begun

_BREATH = 0.02
"""Seconds between two looks at the files: lines that come meanwhile go together."""
_LONGEST_PATTERN = 1000


async def workflow_logs(call: Call) -> Stream:
    """`GET /api/v1/workflows/{namespace}/{name}/log`, and `.../{name}/{podName}/log`."""
    name = (await call.desk.read(lambda engine: find_run(engine, call.namespace, call.name))).name
    query = call.query
    wanted = Wanted(
        pod=call.path.get("podName") or query.text("podName"),
        container=query.text("logOptions.container") or "main",
        labels=parse_labels(query.text("selector")),
        tail=query.number("logOptions.tailLines"),
        most_bytes=query.number("logOptions.limitBytes"),
        since=_since(call),
        previous=query.flag("logOptions.previous"),
        timestamps=query.flag("logOptions.timestamps"),
        matches=_pattern(query.text("grep")),
    )
    logs = _Logs(call.desk, name, wanted)
    messages = logs.followed() if query.flag("logOptions.follow") else logs.so_far()
    return Stream(call.request, await begun(messages))


def _since(call: Call) -> float | None:
    seconds = call.query.number("logOptions.sinceTime.seconds")
    call.query.number("logOptions.sinceTime.nanos")
    if seconds is not None:
        return float(seconds)
    ago = call.query.number("logOptions.sinceSeconds")
    return None if ago is None else time.time() - ago


def _pattern(pattern: str) -> Callable[[str], bool]:
    """Whether a line matches; by RE2, as on Argo: no pattern takes long."""
    if not pattern:
        return lambda _line: True
    if len(pattern) > _LONGEST_PATTERN:
        raise invalid(f"grep: a pattern of {len(pattern)} characters: {_LONGEST_PATTERN} is the most")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise invalid(f"failed to compile {pattern[:80]!r}: {error}") from None
    return lambda line: compiled.search(line) is not None


@dataclass
class _Logs:
    """The logs of one run for one stream."""

    desk: Desk
    name: str
    wanted: Wanted

    async def so_far(self) -> Messages:
        """What was printed until now."""
        tails = Tails(self.wanted)
        await self._load(tails)
        yield NONE
        async for message in self._new(tails, whole=True):
            yield message

    async def followed(self) -> Messages:
        """What was printed, and what is printed until the run has ended or is gone."""
        tails, feed = Tails(self.wanted), self.desk.feed
        folder = self.desk.engine.folder(self.name)
        with feed.subscribe() as subscription, self.desk.folders.listen(folder, subscription.sign.set):
            await self._load(tails)
            yield NONE
            while True:
                summary = feed.summary(self.name)
                ended = summary is None or summary.finished > 0
                if ended or not await self.desk.read(lambda engine: tails.knows_all(engine, self.name)):
                    await self._load(tails)
                async for message in self._new(tails, whole=ended):
                    yield message
                if ended:
                    return
                await subscription.sign.wait()
                await asyncio.sleep(_BREATH)
                subscription.take()

    async def _load(self, tails: Tails) -> None:
        try:
            await self.desk.read(lambda engine: tails.load(engine, self.name))
        except (UnknownRunError, Refusal):
            return  # it was deleted: what is known of it stays

    async def _new(self, tails: Tails, *, whole: bool) -> Messages:
        while entries := await self.desk.read(lambda _engine: tails.new(whole=whole)):
            yield [encode({"content": line, "podName": pod}) for pod, line in entries if line is not None]
