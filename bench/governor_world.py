"""What bench/events.py and tests/e2e/governor look at: PostgreSQL, the engine and the governor, as ``tiphys up`` starts them.

The training is a stand-in under the real name, so that what is seen is the way there. Nobody restarts what is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import urllib3
from serving_world import World, until

from tiphys.engine import Engine, load_file, load_text
from tiphys.settings import PROJECT, GovernorSettings, StackSettings, load
from tiphys.stack import config
from tiphys.stack import keys as stack_keys
from tiphys.stack.ports import Ports, is_taken
from tiphys.stack.servers import engine, own, postgres
from tiphys.stack.spec import Plan, Server
from tiphys.step import Access, Contract, StepInputs, StepOutputs, contracts

SERVERS = ("postgres", "engine", "governor")
TINY = "tests.usecases.tiny"
SOURCE = "s3://landing/boilings/"
TRAINING = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: continuous-training}
spec:
  entrypoint: main
  arguments:
    parameters:
    - {name: use-case, value: taxi_eta}
    - {name: source}
    - {name: promote, value: "true"}
    - {name: live, value: "false", enum: ["true", "false"]}
    - {name: recent-from, value: ""}
    - {name: champion, value: ""}
    - {name: started-by, value: person, enum: [person, schedule, alert, ci]}
    - {name: governed, value: "false", enum: ["true", "false"]}
  workflowMetadata:
    labels: {tiphys/workflow: continuous-training}
    labelsFrom:
      tiphys/use-case: {expression: "workflow.parameters['use-case']"}
      tiphys/started-by: {expression: "workflow.parameters['started-by']"}
  templates:
  - name: main
    dag:
      tasks:
      - {name: train, depends: claim-training, template: train}
  - name: train
    container: {image: "debian:12", command: [sh, -c, "while [ -e HOLD ]; do sleep 0.1; done"]}
"""
"""Runs for as long as the file of :attr:`Watch.hold` is there; what comes before, the claim, is the real training's."""


@dataclass
class Watch(World):
    """The three servers, and what tests ask them."""

    told: dict[str, str] = field(default_factory=dict)
    """Variables that the governor is told beside its own."""

    @property
    def hold(self) -> Path:
        """While this file is there, trainings go on."""
        return self.plan.layout.home / "hold"

    @property
    def url(self) -> str:
        """Where the governor is."""
        return self.plan.ports.url("governor")

    def settings(self, principal: str = "cli") -> GovernorSettings:
        """What a principal is told of the governor."""
        return load(GovernorSettings, self.environment(principal))

    def environment(self, principal: str) -> dict[str, str]:
        """What a principal is told."""
        known = config.secrets(self.plan.settings, self.plan.keys)
        return {**config.config_map(self.plan.settings, self.plan.keys), **known[principal]}

    def _server(self, name: str) -> Server:
        every = (postgres.server(self.plan), engine.server(self.plan, ()), *own.servers(self.plan))
        (found,) = (each for each in every if each.name == name)
        if name != "governor":
            return found
        command = replace(found.command, environment={**found.command.environment, **self.told})
        return replace(found, command=command)

    def ask_engine(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the engine's API that must succeed."""
        headers = {"Authorization": f"Bearer {self.plan.keys.api_tokens['admin']}", "Content-Type": "application/json"}
        url = self.plan.ports.url("engine") + path
        reply = urllib3.request(method, url, headers=headers, body=None if body is None else json.dumps(body).encode())
        if reply.status >= 300:  # noqa: PLR2004
            raise SystemExit(f"{method} {path}: {reply.status} {reply.data[:300]!r}")
        return json.loads(reply.data or b"{}")

    def runs(self) -> list[dict[str, Any]]:
        """The trainings, whoever started them."""
        return list(self.ask_engine("GET", "/api/v1/workflows/default")["items"] or [])

    def ask(self, method: str, path: str, *, body: Any = None, principal: str = "cli", **headers: str) -> Any:
        """A request to the governor with a principal's token; the reply, whatever it is."""
        token = {"Authorization": f"Bearer {self.settings(principal).token}"} if principal else {}
        sent = {**token, **{name.replace("_", "-"): text for name, text in headers.items()}}
        return urllib3.request(method, self.url + path, headers=sent, body=body, retries=False)

    def twin(self, port: str) -> subprocess.Popen[bytes]:
        """Start another governor beside the first, on the port of that name; it ends with the others."""
        server = self._server("governor")
        told = {**server.command.environment, "TIPHYS_GOVERNOR_PORT": str(self.plan.ports[port])}
        process = self._begin(replace(server.command, environment=told), self.plan.layout.log("twin"))
        self.processes["twin"] = process
        until(lambda: is_taken(self.plan.ports[port]), "the other governor answers")
        return process

    def install(self) -> None:
        """Put the stand-in, and all of ours that leads to it, into the engine."""
        rendered = PROJECT / "workflows" / "rendered"
        told = config.config_map(self.plan.settings, self.plan.keys), config.secrets(self.plan.settings, self.plan.keys)
        self.apply(
            *config.documents(*told),
            *self._training(rendered),
            *load_file(rendered / "retrain.yaml"),
            *load_file(rendered / "scheduled-training.yaml"),
        )

    def _training(self, rendered: Path) -> list[dict[str, Any]]:
        """The stand-in, with the real training's claim."""
        (real,) = (
            each for each in load_file(rendered / "continuous-training.yaml") if each["kind"] == "WorkflowTemplate"
        )
        templates = {each["name"]: each for each in real["spec"]["templates"]}
        (claim,) = (each for each in templates["pipeline"]["dag"]["tasks"] if each["name"] == "claim-training")
        (training,) = load_text(TRAINING.replace("HOLD", str(self.hold)))
        training["spec"]["templates"][0]["dag"]["tasks"].append(claim)
        training["spec"]["templates"].append(templates["claim-training"])
        return [training]

    def apply(self, *documents: dict[str, Any]) -> None:
        """Put objects into the engine's store."""
        kept = Engine(self.plan.layout.home / "engine")
        kept.apply(documents)
        kept.wake()

    def train(self, use_case: str = TINY, source: str = SOURCE) -> str:
        """Start a training as a person does; its name."""
        options = {"parameters": [f"use-case={use_case}", f"source={source}"], "generateName": "by-hand-"}
        body = {"resourceKind": "WorkflowTemplate", "resourceName": "continuous-training", "submitOptions": options}
        return str(self.ask_engine("POST", "/api/v1/workflows/default/submit", body)["metadata"]["name"])


def free_base() -> int:
    """The first of 100 free ports in a row."""
    for base in range(20000, 32000, 200):
        if not any(is_taken(port) for port in Ports(base).every()):
            return base
    raise SystemExit("no 100 free ports in a row below 32000")


@contextmanager
def watch(home: Path, port_base: int, **told: str) -> Iterator[Watch]:
    """Start all of it; what a training is, is known, and none was started."""
    settings = StackSettings(home=home, port_base=port_base, java_home="")
    plan = Plan(settings, None)  # type: ignore[arg-type]  # the folders have to be there before the keys
    plan.layout.make()
    tester = Contract("tester", "sends alerts", StepInputs, StepOutputs, "external", Access(governor="alert"))
    known = {**contracts(), tester.name: tester}
    plan = Plan(settings, stack_keys.ensure(plan.layout.secrets / "keys.json", known, outside={}))
    found = Watch(plan, told=told)
    os.environ.pop("TIPHYS_CONTAINERS", None)
    try:
        for name in SERVERS[:2]:
            found.start(name)
        found.install()
        found.start("governor")
        yield found
    finally:
        for name in reversed(list(found.processes)):
            found.kill(name)
