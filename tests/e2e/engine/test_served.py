"""http and data templates, which the engine does itself: a real server on loopback, a real store of artifacts."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, Node, RunState, load_text

pytestmark = pytest.mark.e2e
Run = Callable[..., RunState]
HEAD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
  templates:
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked; /hang never does."""

    hang = threading.Event()

    def do_GET(self) -> None:
        """Echo, redirect, fail, hang or flood, by path."""
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size).decode()
        if self.path == "/hang":
            self.hang.wait()
        status = int(self.path.split("/")[2]) if self.path.startswith("/status/") else 200
        echo: Any = {"method": self.command, "path": self.path, "body": body, "headers": dict(self.headers)}
        if self.path.startswith("/to/"):
            status = 302
        data = b"x" * (2 << 20) if self.path == "/flood" else json.dumps(echo).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"http://localhost:{self.server.server_port}/")  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """A server on this machine."""
    Handler.hang.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Handler.hang.set()
    server.shutdown()
    server.server_close()


def root(run: RunState) -> Node:
    """The workflow's only node."""
    return run.nodes["wf"]


def result(run: RunState) -> Any:
    """The JSON that the node gave."""
    return json.loads((root(run).outputs or {})["result"])


def test_a_request_carries_method_headers_and_body_and_its_answer_is_the_result(
    run: Run, engine: Engine, url: str
) -> None:
    """The node has type HTTP; a header may come from a Secret (agent.go executeHTTPTemplateRequest)."""
    engine.objects.apply({"kind": "Secret", "metadata": {"name": "token"}, "stringData": {"t": "canary"}})
    done = run(
        HEAD
        + f"""
  - name: main
    inputs: {{parameters: [{{name: what, value: "a/b"}}]}}
    http:
      url: "{url}/{{{{inputs.parameters.what}}}}"
      method: POST
      body: '{{"n": 1}}'
      headers:
      - {{name: X-Token, valueFrom: {{secretKeyRef: {{name: token, key: t}}}}}}
      - {{name: Content-Type, value: application/json}}
"""
    )
    assert (done.phase, root(done).type) == ("Succeeded", "HTTP")
    seen = result(done)
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/a/b", '{"n": 1}')
    assert (seen["headers"]["X-Token"], seen["headers"]["Content-Type"]) == ("canary", "application/json")


def test_the_next_step_sees_the_body(run: Run, url: str) -> None:
    """outputs.result is the body, whether anyone names it or not (agent.go executeHTTPTemplate)."""
    done = run(
        HEAD
        + f"""
  - name: main
    steps:
    - - {{name: ask, template: ask}}
    - - {{name: use, template: use, arguments: {{parameters: [{{name: v, value: "{{{{=jsonpath(steps.ask.outputs.result, '$.path')}}}}"}}]}}}}
  - name: ask
    http: {{url: "{url}/here"}}
  - name: use
    inputs: {{parameters: [{{name: v}}]}}
    container: {{image: "debian:12", command: [test, "{{{{inputs.parameters.v}}}}", "=", /here]}}
"""
    )
    assert done.phase == "Succeeded", done.message


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        ("/status/404", ("Failed", "received non-2xx response code: 404")),
        ("/status/503", ("Failed", "received non-2xx response code: 503")),
        ("/status/404, successCondition: 'response.statusCode == 404'", ("Succeeded", "")),
        (
            "/x, successCondition: 'response.body contains \"nothing\"'",
            ("Failed", "successCondition 'response.body contains \"nothing\"' evaluated false"),
        ),
        ('/x, successCondition: \'request.method == "" && response.headers["Server"][0] != ""\'', ("Succeeded", "")),
        ("/hang, timeoutSeconds: 1", ("Failed", 'Get "URL/hang": context deadline exceeded')),
        (
            "/flood",
            ("Failed", 'Get "URL/flood": the response is longer than 1048576 bytes: fetch it in a script instead'),
        ),
        (
            "/x, headers: [{name: A, valueFrom: {secretKeyRef: {name: gone, key: k}}}]",
            ("Failed", 'secrets "gone" not found'),
        ),
    ],
)
def test_an_answer_is_judged_by_its_code_or_by_the_condition(
    run: Run, url: str, http: str, expected: tuple[str, str]
) -> None:
    """Messages as in agent.go; an answer that is too late or too long is Failed."""
    done = run(HEAD + f"  - name: main\n    http: {{url: {url}{http}}}\n")
    assert (root(done).phase, root(done).message.replace(url, "URL")) == expected


def test_a_server_that_is_not_there_is_a_failure_that_can_be_retried(run: Run) -> None:
    """An error of the request is Failed, not Error, so that the default policy retries it (agent.go processTask)."""
    done = run(HEAD + "  - name: main\n    retryStrategy: {limit: 1}\n    http: {url: 'http://127.0.0.1:1/'}\n")
    attempts = [node for node in done.nodes.values() if node.type == "HTTP"]
    assert [node.phase for node in attempts] == ["Failed", "Failed"]
    assert attempts[0].message == 'Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused'


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_only_http_is_asked(run: Run, url: str) -> None:
    """A URL may come from a parameter: it can't read files."""
    done = run(HEAD + f"  - name: main\n    http: {{url: '{url}'}}\n")
    assert "unsupported protocol scheme" in root(done).message


def test_a_secret_header_does_not_follow_a_redirect_to_another_host(run: Run, engine: Engine, url: str) -> None:
    """Go takes Authorization and cookies away; here everything that comes from a Secret goes."""
    engine.objects.apply({"kind": "Secret", "metadata": {"name": "token"}, "stringData": {"t": "canary"}})
    done = run(
        HEAD
        + f"""
  - name: main
    http:
      url: {url}/to/other
      headers:
      - {{name: X-Token, valueFrom: {{secretKeyRef: {{name: token, key: t}}}}}}
      - {{name: X-Plain, value: seen}}
"""
    )
    seen = {name.lower(): value for name, value in result(done)["headers"].items()}
    assert seen["x-plain"] == "seen"
    assert "x-token" not in seen


def test_a_data_template_lists_artifacts_and_transforms_the_list(run: Run, state: Path) -> None:
    """source, then each expression over `data`, then JSON (data.go)."""
    for name in ("in/a.csv", "in/deep/b.csv", "in/c.txt", "out/d.csv"):
        path = state / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    done = run(
        HEAD
        + """
  - name: main
    data:
      source: {artifactPaths: {name: files, s3: {key: in}}}
      transformation:
      - {expression: "filter(data, {# endsWith '.csv'})"}
      - {expression: "map(data, {'s3/' + #})"}
"""
    )
    assert (done.phase, root(done).type, result(done)) == ("Succeeded", "Pod", ["s3/in/a.csv", "s3/in/deep/b.csv"])


def test_a_transformation_that_fails_says_which(run: Run) -> None:
    """The container of `argoexec data` exits with 64 and says why (data.go, main.go)."""
    done = run(
        HEAD
        + """
  - name: main
    data: {source: {artifactPaths: {name: files, s3: {key: in}}}, transformation: [{expression: data}, {expression: "nothing(data)"}]}
"""
    )
    assert root(done).phase == "Failed"
    assert root(done).message.startswith(
        "main: Error (exit code 64): unable to process data template: unable to process data transformation: "
        "error processing data step 1: "
    )


def test_an_http_template_without_a_url_is_refused(run: Run) -> None:
    """Before anything runs."""
    with pytest.raises(ManifestError, match=r"main\.http\.url is required"):
        run(HEAD + "  - name: main\n    http: {method: GET}\n")


def test_a_stopped_run_does_not_wait_for_an_answer(state: Path, url: str) -> None:
    """The request is given up; its thread is left to the end of the process."""
    engine = Engine(state)
    name = engine.submit(
        load_text(HEAD + f"  - name: main\n    activeDeadlineSeconds: 1\n    http: {{url: {url}/hang}}\n")
    )
    done = engine.run(name, handle_signals=False)
    assert root(done).phase == "Failed"
