"""A real Prometheus fires a real alert, which a real Alertmanager sends to the governor."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from tests.e2e.governor.conftest import TINY, Asked
from tiphys.watch import governor_client

pytestmark = pytest.mark.e2e

RULES = f"""
groups:
- name: eta
  interval: 1s
  rules:
  - alert: SlowCity
    expr: test_error_seconds > 180
    labels: {{use_case: {TINY}, kind: error, subject: BY, severity: critical}}
    annotations: {{summary: 'an error of {{{{ $value }}}} s', image: 'evil/image:1'}}
"""
PROMETHEUS = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [RULES]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:ALERTMANAGER"]}]}]}
scrape_configs: [{job_name: test, static_configs: [{targets: ["127.0.0.1:METRICS"]}]}]
"""
ALERTMANAGER = """
route: {receiver: tiphys, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}
receivers:
- name: tiphys
  webhook_configs: [{url: "URL/v1/alertmanager", http_config: AUTHORIZATION}]
"""


def program(name: str) -> str:
    """Where Debian put it; the test is skipped where nobody installed it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(
            f"{name} is not installed: apt-get install --no-install-recommends prometheus prometheus-alertmanager"
        )
    return found


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


class Figure(http.server.BaseHTTPRequestHandler):
    """A metric that is far too high."""

    def do_GET(self) -> None:
        """Answer a scrape."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"test_error_seconds 214\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def metrics() -> Iterator[int]:
    """Something to scrape."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Figure)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def started(argv: list[str], folder: Path) -> Iterator[None]:
    """A program, ended with the test."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("by", ["bearer", "basic"])
def test_an_alert_that_fires_becomes_one_event_however_often_it_is_sent(
    governor: Asked, tmp_path: Path, by: str
) -> None:
    """Alertmanager sends it each second; the governor has it once, and decides it."""
    prometheus, alertmanager = program("prometheus"), program("prometheus-alertmanager")
    token = governor.watch.settings("alertmanager").token
    how = {
        "bearer": f"{{authorization: {{credentials: {token}}}}}",
        "basic": f"{{basic_auth: {{username: alertmanager, password: {token}}}}}",
    }[by]
    ports = free_port(), free_port()
    (tmp_path / "am.yaml").write_text(ALERTMANAGER.replace("URL", governor.watch.url).replace("AUTHORIZATION", how))
    (tmp_path / "rules.yaml").write_text(RULES.replace("BY", by))
    before = sent_again(governor)
    with metrics() as figures:
        text = (
            PROMETHEUS.replace("RULES", "rules.yaml")
            .replace("ALERTMANAGER", str(ports[1]))
            .replace("METRICS", str(figures))
        )
        (tmp_path / "prometheus.yaml").write_text(text)
        send = [
            alertmanager, "--config.file=am.yaml", "--storage.path=am", f"--web.listen-address=127.0.0.1:{ports[1]}",
            "--cluster.listen-address=",
        ]  # fmt: skip
        watch = [
            prometheus, "--config.file=prometheus.yaml", "--storage.tsdb.path=tsdb", f"--web.listen-address=127.0.0.1:{ports[0]}"
        ]  # fmt: skip
        with started(send, tmp_path), started(watch, tmp_path):
            last = time.monotonic() + 90
            while sent_again(governor) < before + 2:
                assert time.monotonic() < last, (tmp_path / "log").read_text()[-3000:]
                time.sleep(0.2)
    found = governor_client.events(governor.person, 1000)
    (event,) = [each for each in found if each.source == "alertmanager" and each.subject == by]
    assert (event.kind, event.subject, event.severity, event.sender) == ("error", by, "critical", "alertmanager")
    body = governor.told(event.id).body
    assert set(body) <= {"type", "use_case", "kind", "subject", "severity", "model_version", "report", "text"}
    assert governor.decided(event.id).reason


def sent_again(governor: Asked) -> int:
    """How often Alertmanager has sent what it had sent before."""
    name = 'tiphys_governor_events_duplicates_total{sender="alertmanager"} '
    lines = urllib3.request("GET", governor.watch.url + "/metrics").data.decode().splitlines()
    return sum(int(line.removeprefix(name)) for line in lines if line.startswith(name))
