"""A table of questions asked through the gateway, many at a time: each row gets the fields of its answer, or an error.

Rows are read, asked and written in order; no more of them are held than are under way. What the gateway asks to wait for
is waited for. Knows no terminal and no use case.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tiphys.errors import PermanentError, RetryableError
from tiphys.serving.batch_questions import Questions

if TYPE_CHECKING:
    from tiphys.serving.batch_sink import Sink
    from tiphys.serving.batch_source import Chunk, Source
    from tiphys.serving.gateway_client import GatewayClient, Reply
    from tiphys.usecase import Api

ERROR = "error"
"""Name of the column that says why a row was not answered."""
SIZE = 500
"""Rows of one request: the gateway takes up to 1,000."""
IN_FLIGHT = 3
"""Requests at once: the gateway takes four batches of a route, so another asker finds room."""
PATIENCE = 120.0
"""Seconds that one request goes on trying while the gateway has no room for it, or is away."""
_TRIES = 3
"""Times that a row is asked to which nothing answered in time, although its batch was answered."""
_PAUSE = 0.5
_OK = 200
_PARTS = frozenset({400, 413, 422})
"""The gateway refuses the whole for one of its questions, or for its size."""
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})

Answer = Mapping[str, Any] | str
"""The answer's fields, or why there is none."""


@dataclass(frozen=True)
class Progress:
    """How far a batch is."""

    rows: int
    refused: int
    status_quo: int
    """Answers that no model gave, where the use case's answer says so in a field ``source``."""
    share: float | None
    """Part of the source that is read, 0..1, where it can be known."""


def answer_columns(api: Api) -> dict[str, str]:
    """Return the columns that answers add, with their JSON types; the last one is ``error``."""
    schema = api.answer.model_json_schema(mode="serialization")
    found = {name: _type(each) for name, each in schema.get("properties", {}).items()}
    return {**found, ERROR: "string"}


def _type(field: Mapping[str, Any]) -> str:
    kinds = [each.get("type", "string") for each in (*field.get("anyOf", ()), field) if each.get("type") != "null"]
    return str(kinds[0]) if kinds else "string"


class Asker:
    """Asks one route for many answers at once."""

    def __init__(self, gateway: GatewayClient, path: str, patience: float = PATIENCE) -> None:
        """Ask ``path``, as ``/v1/eta/batch``."""
        self._gateway = gateway
        self._path = path
        self._patience = patience
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let those who wait to ask again give up."""
        self._stopped.set()

    def ask(self, questions: Sequence[bytes], tries: int = _TRIES) -> list[Answer]:
        """Ask JSON texts; returns an answer or a complaint for each, in their order.

        Raises:
            PermanentError: the gateway does not answer such questions at all, or not to us.
            RetryableError: it has had no room, or was away, for too long.
        """
        if not questions:
            return []
        reply = self._persist(b'{"questions": [' + b", ".join(questions) + b"]}")
        if reply.status == _OK:
            return self._completed(questions, self._answers(reply, len(questions)), tries - 1)
        if reply.status in _PARTS and len(questions) > 1:
            half = len(questions) // 2
            return [*self.ask(questions[:half], tries), *self.ask(questions[half:], tries)]
        if reply.status in _PARTS:
            return [reply.error or f"refused with status {reply.status}"]
        message = f"the gateway refuses {self._path} ({reply.status}): {reply.error}"
        raise PermanentError(message)

    def _persist(self, body: bytes) -> Reply:
        until = time.monotonic() + self._patience
        while True:
            try:
                reply = self._gateway.ask(self._path, body)
                if reply.status not in _AGAIN:
                    return reply
                pause, said = reply.retry_after or _PAUSE, f"it says {reply.status}: {reply.error}"
            except RetryableError as error:
                pause, said = _PAUSE, str(error)
            if time.monotonic() + pause > until or self._stopped.is_set():
                message = f"no answer of {self._path} within {self._patience:.0f} s; {said}; try again later"
                raise RetryableError(message)
            self._stopped.wait(pause)

    def _completed(self, questions: Sequence[bytes], answers: list[Answer], tries: int) -> list[Answer]:
        """Ask those once more that the gateway took and nothing answered."""
        missing = [number for number, each in enumerate(answers) if isinstance(each, str)]
        if missing and tries:
            for number, answer in zip(missing, self.ask([questions[n] for n in missing], tries), strict=True):
                answers[number] = answer
        return answers

    def _answers(self, reply: Reply, wanted: int) -> list[Answer]:
        answers = reply.body.get("answers") if isinstance(reply.body, dict) else None
        if not isinstance(answers, list) or len(answers) != wanted:
            message = (
                f"{self._path} gave no list of {wanted} answers: is the gateway of the same version as this program?"
            )
            raise PermanentError(message)
        return [_answer(each) for each in answers]


def _answer(given: Any) -> Answer:
    if not isinstance(given, dict):
        return "no answer"
    complaint = given.get("error")
    if complaint is None:
        return given
    return str(complaint.get("message", complaint) if isinstance(complaint, dict) else complaint)


def run(source: Source, sink: Sink, api: Api, asker: Asker, tell: Callable[[Progress], None]) -> Progress:
    """Ask every row and write it with its answer; returns how many there were. The sink is finished if all is well.

    Raises:
        DataError: the source is damaged, or lacks columns.
        PermanentError: the gateway does not answer such questions.
        RetryableError: the gateway was away for too long.
    """
    questions = Questions(api, source.columns, source.where)
    fields = list(answer_columns(api))[:-1]
    rows = refused = status_quo = 0
    for chunk, answers in _in_order(source, questions, asker):
        added = [_cells(each, fields) for each in answers]
        sink.write(chunk, added)
        rows += len(added)
        refused += sum(isinstance(each, str) for each in answers)
        status_quo += sum(not isinstance(each, str) and each.get("source") == "status_quo" for each in answers)
        tell(Progress(rows, refused, status_quo, source.share()))
    sink.finish()
    return Progress(rows, refused, status_quo, 1.0)


def _cells(answer: Answer, fields: Sequence[str]) -> list[Any]:
    return [*([None] * len(fields)), answer] if isinstance(answer, str) else [*map(answer.get, fields), None]


def _in_order(source: Source, questions: Questions, asker: Asker) -> Iterator[tuple[Chunk, list[Answer]]]:
    """Chunks with their answers, a few requests ahead of who takes them."""
    waiting: deque[tuple[Chunk, dict[int, str], Future[list[Answer]]]] = deque()
    pool = ThreadPoolExecutor(IN_FLIGHT)
    try:
        for chunk in source.chunks(SIZE):
            good, bad = questions.sorted_out(chunk.rows, chunk.flaws, questions.question)
            waiting.append((chunk, bad, pool.submit(asker.ask, good)))
            if len(waiting) > IN_FLIGHT:
                yield _taken(*waiting.popleft())
        while waiting:
            yield _taken(*waiting.popleft())
    finally:
        asker.stop()
        pool.shutdown(wait=False, cancel_futures=True)


def _taken(chunk: Chunk, bad: Mapping[int, str], asked: Future[list[Answer]]) -> tuple[Chunk, list[Answer]]:
    answers = iter(asked.result())
    return chunk, [bad[number] if number in bad else next(answers) for number in range(len(chunk.rows))]
