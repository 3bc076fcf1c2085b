"""One caller of the V2 inference protocol over gRPC: its connection, its calls, and what each of them may hold.

What is not in ``METHODS`` is UNIMPLEMENTED: control of models, shared memory, traces, logs, statistics and streams are
nobody's here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from tiphys.serving.gateway import grpc_headers as status
from tiphys.serving.gateway.grpc_frames import (
    BLOCK_CAP,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FRAME_CAP,
    HEADER_TABLE_SIZE,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    WireError,
    frame,
)
from tiphys.serving.gateway.grpc_headers import NO_TABLE, Blocks, CallHead, read_call
from tiphys.serving.gateway.grpc_messages import PREFIX_SIZE, extended, fault, http_status, refused
from tiphys.serving.gateway.grpc_upstream import GrpcAnswer, GrpcCall
from tiphys.serving.gateway.grpc_wire import Wire
from tiphys.serving.gateway.keys import take
from tiphys.serving.gateway.messages import Request, Response, refusal
from tiphys.serving.gateway.v2_desk import ANSWER_SECONDS, MESSAGE_CAP, Try
from tiphys.serving.gateway.v2_head import HeadError, read_head, version_field

if TYPE_CHECKING:
    from tiphys.serving.gateway.grpc_door import GrpcDoor

_SERVICE = b"/inference.GRPCInferenceService/"
METHODS: Mapping[bytes, bool] = {
    _SERVICE + name: of_a_model
    for name, of_a_model in (
        (b"ServerLive", False), (b"ServerReady", False), (b"ServerMetadata", False), (b"ModelReady", True),
        (b"ModelMetadata", True), (b"ModelConfig", True), (b"ModelInfer", True),
    )
}  # fmt: skip
"""Path -> whether the message begins with a model's name and version."""

MOST_STREAMS = 128
"""Calls that one connection may have open at once."""
MOST_RESETS = 200
"""Calls that a connection may break off before more of them than it lets be answered end it."""
UNSENT_CAP = 32 * 2**20
"""Bytes of answers that may wait for the windows of one connection."""
ARRIVE_SECONDS = 5.0
"""Longest that a question may take to arrive."""
_GONE = 499

_SETTINGS = {
    HEADER_TABLE_SIZE: 0, MAX_CONCURRENT_STREAMS: MOST_STREAMS, INITIAL_WINDOW_SIZE: MESSAGE_CAP + 2 * FRAME_CAP,
    MAX_FRAME_SIZE: FRAME_CAP, MAX_HEADER_LIST_SIZE: BLOCK_CAP,
}  # fmt: skip
_ENVIRONMENTS = {b"": "production", b"production": "production", b"canary": "canary", b"staging": "staging"}
_KINDS = (b"application/grpc", b"application/grpc+proto")


class _Stream:
    """One call of a caller."""

    __slots__ = (
        "arrived", "body", "call", "deadline", "environment", "has_ended", "head", "is_placed", "number", "parts", "said", "size",
    )  # fmt: skip

    def __init__(self, number: int, head: CallHead, now: float) -> None:
        self.number = number
        self.head = head
        self.arrived = now
        self.deadline = now + min(ANSWER_SECONDS, ANSWER_SECONDS if head.timeout is None else head.timeout)
        self.parts: list[bytes] = []
        self.size = 0
        """Bytes of it that count as held: of the question, later of the answer."""
        self.body = b""
        self.has_ended = False
        self.is_placed = False
        """Whether it has a place among those in flight."""
        self.call: GrpcCall | None = None
        self.environment = ""
        """Empty before it is known who asks."""
        self.said = 0
        """HTTP's status of the answer, once there is one."""


class Caller:
    """One connection."""

    def __init__(self, door: GrpcDoor) -> None:
        """Wait to be connected."""
        self._door = door
        self.wire = Wire(self, is_server=True, settings=_SETTINGS)
        self._blocks: Blocks[CallHead] = Blocks(read_call, door.kept)
        self.streams: dict[int, _Stream] = {}
        self._last = 0
        self._resets = 0
        self.rested = door.loop.time()
        door.callers.add(self)

    # ---------------------------------------------------------------- what the wire says

    def on_headers(self, number: int, block: bytes, ended: bool) -> None:  # noqa: FBT001
        """A call begins, or its question ends."""
        head = self._blocks.read(block)
        stream = self.streams.get(number)
        if stream is None and number > self._last and number % 2:
            self._last = number
            if len(self.streams) >= MOST_STREAMS or self.wire.is_leaving:
                self.wire.write(frame(RST_STREAM, 0, number, REFUSED_STREAM.to_bytes(4)))
                return
            stream = self.streams[number] = _Stream(number, head, self._door.loop.time())
            self.wire.streams[number] = 0
            stream.has_ended = ended
            self._begin(stream, ended=ended)
        elif stream is None and (number % 2 == 0 or number > self._last):
            raise WireError(PROTOCOL_ERROR)
        elif stream is not None and ended and not stream.has_ended:
            stream.has_ended = True
            self._ask(stream)

    def on_data(self, number: int, data: bytes, ended: bool) -> None:  # noqa: FBT001
        """A part of a question."""
        stream = self.streams.get(number)
        if stream is None or stream.has_ended:
            if number > self._last or not number:
                raise WireError(PROTOCOL_ERROR)
            return
        stream.has_ended = ended
        if stream.size + len(data) > MESSAGE_CAP + PREFIX_SIZE:
            self._refuse(stream, refusal(413, "too_large", f"a message has at most {MESSAGE_CAP} bytes"))
            return
        full = self._door.desk.budget.take(len(data))
        if full is not None:
            self._refuse(stream, full)
            return
        stream.parts.append(data)
        stream.size += len(data)
        if ended:
            self._ask(stream)

    def on_reset(self, number: int) -> None:
        """The caller wants no answer any more."""
        if number > self._last or not number:
            raise WireError(PROTOCOL_ERROR)
        self._resets += 1
        stream = self.streams.get(number)
        if stream is not None:
            call = stream.call
            self._end(stream, _GONE)
            if call is not None:
                call.cancel()
        if self._resets > max(MOST_RESETS, self._last // 4):
            self.wire.close(ENHANCE_YOUR_CALM, self._last)

    def on_sent(self, number: int) -> None:
        """An answer is on its way."""
        self._end(self.streams[number])

    def on_lost(self) -> None:
        """The connection is gone."""
        self._door.left(self)
        for stream in list(self.streams.values()):
            call = stream.call
            self._end(stream, _GONE)
            if call is not None:
                call.cancel()

    @property
    def is_resting(self) -> bool:
        """Whether it can go without harm: nothing is open, and it is not going or unread already."""
        return not self.streams and self.wire.is_open and not self.wire.is_leaving and not self.wire.is_paused

    def leave(self) -> None:
        """Answer what is open, and close."""
        self.wire.leave(self._last)

    # ---------------------------------------------------------------- a call

    def _begin(self, stream: _Stream, *, ended: bool) -> None:
        head = stream.head
        if not head.has_form or head.method != b"POST":
            self._close(stream, status.http_refusal_block(405 if head.has_form else 400), 400)
        elif head.kind.partition(b";")[0] not in _KINDS:
            self._close(stream, status.http_refusal_block(415), 415)
        else:
            response = self._refusal(stream)
            if response is not None:
                self._refuse(stream, response)
            elif ended:
                self._ask(stream)

    def _refusal(self, stream: _Stream) -> Response | None:
        head, door = stream.head, self._door
        if head.path not in METHODS:
            return refusal(501, "unimplemented", f"{head.path[:100].decode('latin-1')} is not served here")
        environment = _ENVIRONMENTS.get(head.environment)
        if environment is None:
            return refusal(400, "environment", "tiphys-environment is production, canary or staging")
        request = Request("POST", head.path.decode("ascii"), "", head.credentials, self.wire.peer, stream.arrived)
        response = door.keys.admit(request, door.desk.roles(environment))
        if response is not None or request.key is None:
            return response
        stream.environment = environment
        return take(request, 1, stream.arrived)

    def _ask(self, stream: _Stream) -> None:
        stream.body = stream.parts[0] if len(stream.parts) == 1 else b"".join(stream.parts)
        stream.parts.clear()
        wrong = fault(stream.body)
        if wrong is not None:
            more = [(b"grpc-accept-encoding", b"identity")] if wrong[0] == status.UNIMPLEMENTED else []
            self._close(stream, status.refusal_block(*wrong, more), http_status(wrong[0]))
            return
        chosen = self._choice(stream)
        if isinstance(chosen, Response):
            self._refuse(stream, chosen)
            return
        self._door.desk.admission.enter()
        stream.is_placed = True
        self._send(stream, chosen, may_follow=True)

    def _choice(self, stream: _Stream) -> Try | Response:
        desk = self._door.desk
        full = desk.admission.full()
        if full is not None:
            return full
        if not METHODS[stream.head.path]:
            return Try(stream.environment, "")
        try:
            model, version = read_head(stream.body, PREFIX_SIZE)
        except HeadError as error:
            return refusal(400, "malformed", str(error))
        return desk.choose(stream.environment, model, version)

    def _send(self, stream: _Stream, this: Try, *, may_follow: bool) -> None:
        seconds = stream.deadline - self._door.loop.time()
        if seconds <= 0:
            self._deliver(stream, this, GrpcAnswer(status.DEADLINE_EXCEEDED, "the deadline is over"))
            return
        body = extended(stream.body, version_field(this.version)) if this.version else stream.body
        upstream = self._door.upstreams[this.environment]
        done = partial(self._answered, stream, this, may_follow)
        stream.call = upstream.call(stream.head.path, body, done, seconds)

    def _answered(self, stream: _Stream, this: Try, may_follow: bool, answer: GrpcAnswer) -> None:  # noqa: FBT001 - partial
        """Pass it on; if Triton no longer has that version, the one that took its place gets the same bytes, once."""
        stream.call = None
        if answer.status == status.NOT_FOUND and may_follow and METHODS[stream.head.path]:
            model, version = read_head(stream.body, PREFIX_SIZE)
            successor = self._door.desk.successor(this, model, version)
            if successor is not None:
                self._send(stream, successor, may_follow=False)
                return
        self._deliver(stream, this, answer)

    def _deliver(self, stream: _Stream, by: Try, answer: GrpcAnswer) -> None:
        number = stream.number
        head = NO_TABLE + answer.head + self._door.marks(by)
        if not answer.head or len(head) > FRAME_CAP:
            more = [(b"retry-after", b"1")] if answer.status == status.UNAVAILABLE else []
            self._close(stream, status.refusal_block(answer.status, answer.message, more), http_status(answer.status))
        elif answer.tail:
            tail = frame(HEADERS, END_HEADERS | END_STREAM, number, answer.tail)
            stream.said = http_status(answer.status)
            self.wire.send(number, frame(HEADERS, END_HEADERS, number, head), answer.body, tail)
            if number in self.streams:
                self._keep(stream, len(answer.body))
        else:
            self._close(stream, head, http_status(answer.status))

    def _keep(self, stream: _Stream, size: int) -> None:
        """Hold an answer that waits for the caller's windows in place of its question; its place in flight is free.

        What is too much is broken off.
        """
        door = self._door
        self._free(stream)
        stream.body = b""
        waiting = sum(each.size for each in self.streams.values() if each.said)
        if waiting + size > UNSENT_CAP or door.desk.budget.take(size) is not None:
            self.wire.write(frame(RST_STREAM, 0, stream.number, ENHANCE_YOUR_CALM.to_bytes(4)))
            self._end(stream, _GONE)
        else:
            stream.size = size

    def _refuse(self, stream: _Stream, response: Response) -> None:
        self._close(stream, refused(response), response.status)

    def _close(self, stream: _Stream, block: bytes, said: int) -> None:
        """Answer with a single block; a caller that is still sending is told to stop."""
        number = stream.number
        self.wire.write(frame(HEADERS, END_HEADERS | END_STREAM, number, block))
        if not stream.has_ended:
            self.wire.write(frame(RST_STREAM, 0, number, NO_ERROR.to_bytes(4)))
        stream.said = said
        self._end(stream)

    def _end(self, stream: _Stream, said: int = 0) -> None:
        door = self._door
        del self.streams[stream.number]
        self._free(stream)
        self.rested = door.loop.time()
        door.desk.count("grpc", stream.environment, said or stream.said, self.rested - stream.arrived)
        self.wire.forget(stream.number)

    def _free(self, stream: _Stream) -> None:
        """Give back what it holds and its place."""
        self._door.desk.budget.give(stream.size)
        stream.size = 0
        if stream.is_placed:
            stream.is_placed = False
            self._door.desk.admission.leave()

    def expire(self, now: float) -> None:
        """Refuse what takes too long to arrive."""
        late = [each for each in self.streams.values() if not each.has_ended and now - each.arrived > ARRIVE_SECONDS]
        for each in late:
            self._refuse(each, refusal(408, "timeout", f"a message has {ARRIVE_SECONDS:.0f} s to arrive"))
