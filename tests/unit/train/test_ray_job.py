"""The door to Ray's job server, before servers that are not what they should be."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator

import pytest

from components.train.ray_job import RayJobs
from tiphys.errors import PermanentError
from tiphys.settings import RaySettings

pytestmark = pytest.mark.unit

Serve = Callable[[int, object], RayJobs]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(status, answer)``: a client of a server that answers everything so."""
    servers: list[http.server.HTTPServer] = []

    def start(status: int, answer: object) -> RayJobs:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode() if not isinstance(answer, str) else answer.encode())

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return RayJobs(RaySettings(f"http://127.0.0.1:{server.server_port}", "t0ken"))

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


def test_a_ray_with_another_job_api_is_refused_with_both_versions(serve: Serve) -> None:
    """Nothing is submitted."""
    with pytest.raises(
        PermanentError, match=r"speaks version 9 of its job API \(Ray 3\.1\.0\) and this step speaks version 4"
    ):
        serve(200, {"version": "9", "ray_version": "3.1.0"}).submit("job", "true", {})


@pytest.mark.parametrize(("status", "answer"), [(404, "<html>"), (200, "<html>welcome</html>"), (200, [])])
def test_a_server_that_is_no_ray_is_named(serve: Serve, status: int, answer: object) -> None:
    """With the setting that is wrong."""
    with pytest.raises(PermanentError, match=r"speaks no job API .*TIPHYS_RAY_URL must be the dashboard"):
        serve(status, answer).submit("job", "true", {})


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_permanent_and_not_shown(serve: Serve, status: int) -> None:
    """The setting is named."""
    with pytest.raises(PermanentError, match="TIPHYS_RAY_TOKEN is not this cluster's") as refused:
        serve(status, "no").submit("job", "true", {})
    assert "t0ken" not in str(refused.value)
