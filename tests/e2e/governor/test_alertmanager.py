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
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3
import yaml

from components.monitor import prometheus as figures_of
from tests.e2e.governor.conftest import TINY, Asked
from tests.unit.drift.conftest import MONDAY, reference_of, world
from tiphys.errors import PermanentError
from tiphys.settings import PROJECT
from tiphys.watch import governor_client, webhooks
from tiphys.watch.drift.sketch import DAY
from tiphys.watch.drift.watch import State, look

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


def drifted(factor: float) -> str:
    """What monitor writes of a week in which truths are so much longer."""
    reference = reference_of(world(MONDAY, 56, 1))
    week = world(MONDAY + 56 * DAY, 7, 101)
    week = replace(week, labelled=replace(week.labelled, actual=week.labelled.actual * factor))
    found = look(reference, week, State.new(reference))
    return figures_of.text(found, {"use_case": TINY, "model_version": "models:/tiny/1"}, week.until, time.time())


def test_what_monitor_found_is_scraped_from_the_governor_and_our_own_rules_bring_it_back_as_an_alert(
    governor: Asked, tmp_path: Path
) -> None:
    """The files of helm/, but for addresses and pauses. No S3 is there; the figures outlive the governor. Older ones never win."""
    programs = program("prometheus"), program("prometheus-alertmanager")
    governor_client.send_figures(governor.monitor, drifted(1.0))
    governor_client.send_figures(governor.monitor, drifted(1.6))
    with pytest.raises(PermanentError, match="may send no figures"):
        governor_client.send_figures(governor.person, drifted(1.0))
    late = drifted(1.0).encode()
    headers = webhooks.sign(governor.monitor.secret, "late", int(time.time()) - 100, late)
    assert urllib3.request("POST", governor.watch.url + "/v1/figures", headers=headers, body=late).status == 201
    governor.watch.kill("governor")
    governor.watch.start("governor")
    scraped = urllib3.request("GET", governor.watch.url + "/metrics/drift").data.decode()
    assert scraped.splitlines().count("# TYPE tiphys_drift_alarm gauge") == 1
    assert 'kind="error",subject="all",severity="critical"} 1' in scraped

    ports = free_port(), free_port()
    deployed = {each.name: yaml.safe_load(each.read_text()) for each in (PROJECT / "helm" / "prometheus").iterdir()}
    config, sending = deployed["prometheus.example.yaml"], deployed["alertmanager.example.yaml"]
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{ports[1]}"]
    for job in config["scrape_configs"]:
        job["static_configs"][0]["targets"] = [governor.watch.url.removeprefix("http://")]
    sending["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    (receiver,) = (each for each in sending["receivers"] if each["name"] == "governor")
    (tmp_path / "token").write_text(governor.watch.settings("alertmanager").token)
    receiver["webhook_configs"][0]["url"] = governor.watch.url + "/v1/alertmanager"
    receiver["webhook_configs"][0]["http_config"]["authorization"]["credentials_file"] = str(tmp_path / "token")
    for name, content in deployed.items():
        (tmp_path / name).write_text(yaml.safe_dump(content))
    watch = [
        programs[0], "--config.file=prometheus.example.yaml", "--storage.tsdb.path=tsdb", f"--web.listen-address=127.0.0.1:{ports[0]}"
    ]  # fmt: skip
    send = [
        programs[1], "--config.file=alertmanager.example.yaml", "--storage.path=am", f"--web.listen-address=127.0.0.1:{ports[1]}",
        "--cluster.listen-address=",
    ]  # fmt: skip

    def arrived() -> set[tuple[str, str]]:
        found = governor_client.events(governor.person, 1000)
        return {(each.kind, each.subject) for each in found if each.source == "alertmanager"}

    with started(send, tmp_path), started(watch, tmp_path):
        last = time.monotonic() + 90
        while ("error", "all") not in arrived():
            assert time.monotonic() < last, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.2)
        query = f"http://127.0.0.1:{ports[0]}/api/v1/query?query=tiphys_drift_rows"
        (rows,) = urllib3.request("GET", query).json()["data"]["result"]
    assert (rows["metric"]["use_case"], rows["metric"]["job"], rows["value"][1]) == (TINY, "tiphys-drift", "2100")
    refused = urllib3.request("GET", governor.watch.url + "/metrics").data.decode()
    assert 'why="malformed"' not in refused  # what is for people was not sent here


def sent_again(governor: Asked) -> int:
    """How often Alertmanager has sent what it had sent before."""
    name = 'tiphys_governor_events_duplicates_total{sender="alertmanager"} '
    lines = urllib3.request("GET", governor.watch.url + "/metrics").data.decode().splitlines()
    return sum(int(line.removeprefix(name)) for line in lines if line.startswith(name))
