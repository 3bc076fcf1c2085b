"""How a table is asked: in order, again where the gateway asks for patience, and one bad question takes no other along."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.usecases.tiny.api import API
from tiphys.errors import PermanentError, RetryableError
from tiphys.serving import batch
from tiphys.serving.batch import Asker, Progress
from tiphys.serving.batch_sink import open_sink
from tiphys.serving.batch_source import open_source
from tiphys.serving.gateway_client import GatewayClient

pytestmark = pytest.mark.unit

Questions = list[dict[str, Any]]
Reply = tuple[int, Any]


def answered(questions: Questions) -> Reply:
    """A hundred seconds a litre."""
    answers = [{"seconds": each["litres"] * 100, "model_version": "7"} for each in questions]
    return 200, {"answers": answers}


@pytest.fixture
def gateway() -> Iterator[Callable[..., Asker]]:
    """``gateway(reply, patience)``: an asker of a server at whose end ``reply(questions)`` decides."""
    servers: list[ThreadingHTTPServer] = []

    def start(reply: Callable[[Questions], Reply], patience: float = 30.0) -> Asker:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status, body = reply(json.loads(self.rfile.read(int(self.headers["content-length"])))["questions"])
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("retry-after", "0")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        return Asker(GatewayClient(url, connections=batch.IN_FLIGHT), "/v1/kettle/batch", patience)

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


def asked(asker: Asker, folder: Path, table: str) -> tuple[list[str], Progress]:
    """Ask a table of CSV; its output's lines and how it ended."""
    (folder / "in.csv").write_text(table)
    target = folder / "out.csv"
    with (
        open_source(str(folder / "in.csv")) as source,
        open_sink(str(target), source, batch.answer_columns(API)) as sink,
    ):
        done = batch.run(source, sink, API, asker, lambda _: None)
    return target.read_text().splitlines(), done


def test_rows_come_out_in_the_order_in_which_they_went_in(tmp_path: Path, gateway: Callable[..., Asker]) -> None:
    """However late a request is answered; other columns go along."""
    late = threading.Event()

    def reply(questions: Questions) -> Reply:
        if questions[0]["celsius"] == 0:
            late.wait(10)
        else:
            late.set()
        return answered(questions)

    table = "note,celsius,litres\n" + "".join(f"n{n},{n // 900},1.5\n" for n in range(2000))
    lines, done = asked(gateway(reply), tmp_path, table)
    assert lines[0] == "note,celsius,litres,seconds,model_version,error"
    assert lines[1:] == [f"n{n},{n // 900},1.5,150.0,7," for n in range(2000)]
    assert (done.rows, done.refused) == (2000, 0)


def test_a_question_that_the_gateway_refuses_takes_no_other_along(
    tmp_path: Path, gateway: Callable[..., Asker]
) -> None:
    """The whole request is refused for it: it is found by halves, and only its row has the error."""

    def reply(questions: Questions) -> Reply:
        if any(each["celsius"] == 77 for each in questions):
            return 422, {"error": {"code": "invalid", "message": "no tea today"}}
        return answered(questions)

    table = "celsius,litres\n" + "".join(f"{n % 90},1\n" for n in range(90)) + "120,1\n,\n"
    lines, done = asked(gateway(reply), tmp_path, table)
    assert lines[78] == "77,1,,,no tea today"
    assert lines[91] == "120,1,,,celsius: Input should be less than or equal to 99"
    assert lines[92] == ",,,,litres: Field required; celsius: Field required"
    assert (done.rows, done.refused) == (92, 3)


def test_a_gateway_without_room_is_asked_again(
    tmp_path: Path, gateway: Callable[..., Asker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 and 503 are no answer, nor is a row that nothing answered in time."""
    monkeypatch.setattr(batch, "_PAUSE", 0.01)
    replies: list[Reply] = [
        (503, {"error": {"message": "busy"}}),
        (429, {"error": {"message": "too fast"}}),
        (200, {"answers": [{"seconds": 100.0, "model_version": "7"}, {"error": {"code": "late", "message": "late"}}]}),
    ]
    lines, _ = asked(
        gateway(lambda given: replies.pop(0) if replies else answered(given)), tmp_path, "litres,celsius\n1,1\n2,2\n"
    )
    assert lines[1:] == ["1,1,100.0,7,", "2,2,200.0,7,"]


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ((503, {"error": {"message": "busy"}}), RetryableError, "it says 503: busy; try again later"),
        ((401, {"error": {"message": "no such key"}}), PermanentError, "no such key"),
        ((404, {"error": {"message": "no route"}}), PermanentError, "no route"),
        ((200, {"answers": []}), PermanentError, "no list of 1 answers"),
    ],
)
def test_what_no_patience_helps_ends_the_whole_and_leaves_no_file(
    tmp_path: Path, gateway: Callable[..., Asker], reply: Reply, kind: type[Exception], words: str
) -> None:
    """The message has the gateway's own words."""
    with pytest.raises(kind, match=words):
        asked(gateway(lambda _: reply, 0.1), tmp_path, "litres,celsius\n1,1\n")
    assert [each.name for each in tmp_path.iterdir()] == ["in.csv"]


def test_answers_of_the_status_quo_are_counted(tmp_path: Path, gateway: Callable[..., Asker]) -> None:
    """A person is told that no model gave them."""
    told = {"seconds": 1.0, "model_version": "", "source": "status_quo"}
    _, done = asked(gateway(lambda given: (200, {"answers": [told] * len(given)})), tmp_path, "litres,celsius\n1,1\n")
    assert done.status_quo == 1
