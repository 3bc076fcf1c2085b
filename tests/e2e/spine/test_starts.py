"""The same pipeline, started by a command, by HTTP, by Hera, by a schedule and by an event."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hera.workflows import CronWorkflow, Workflow, WorkflowsService
from hera.workflows.models import StopStrategy, WorkflowTemplateRef

from tests.e2e.spine.test_spine import TINY, Cli, boilings, cli, on, trips  # noqa: F401
from tiphys.stack import environment, keys
from tiphys.stack.layout import Layout
from tiphys.step import contracts

pytestmark = pytest.mark.e2e
Json = dict[str, Any]
TEMPLATE = "continuous-training"
BINDING = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: on-new-files}
spec:
  event: {selector: discriminator == "files" && payload.bucket == "landing"}
  submit:
    workflowTemplateRef: {name: continuous-training}
    metadata: {generateName: '"by-event-"'}
    arguments:
      parameters:
      - {name: use-case, valueFrom: {event: '"tests.usecases.tiny"'}}
      - {name: started-by, valueFrom: {event: '"alert"'}}
      - {name: source, valueFrom: {event: payload.source}}
"""


class Api:
    """The engine's API on the session's stack."""

    def __init__(self, stack: Any) -> None:
        """As a person of that machine finds it."""
        told = environment(stack.settings, contracts(), "argo")
        self.address, self.token = told["ARGO_SERVER"], told["ARGO_TOKEN"]
        found = keys.read(Layout.of(stack.settings).secrets / "keys.json")
        self.events_token = f"Bearer {found.api_tokens['events']}"

    def ask(self, method: str, path: str, body: Json | None = None, **headers: str) -> Json:
        """One request that must succeed."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        sent = {"Authorization": self.token, "Content-Type": "application/json", **headers}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            found = json.loads(answer.read() or b"{}")
        finally:
            connection.close()
        assert answer.status == 200, found
        return dict(found)

    def runs(self) -> list[Json]:
        """All runs."""
        return list(
            self.ask("GET", "/api/v1/workflows/default?fields=items.metadata,items.status.phase")["items"] or []
        )


def ended(api: Api, is_it: Callable[[str], bool], within: float = 420.0) -> Json:
    """The run whose name is the right one, once it has ended."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        for run in api.runs():
            if is_it(run["metadata"]["name"]) and run["status"].get("phase") in ("Succeeded", "Failed", "Error"):
                return api.ask("GET", f"/api/v1/workflows/default/{run['metadata']['name']}")
        time.sleep(0.5)
    pytest.fail(f"it has not ended: {api.runs()}")


def outputs(run: Json) -> dict[str, str]:
    """The exported outputs of a run that has succeeded."""
    assert run["status"]["phase"] == "Succeeded", run["status"]
    return {each["name"]: each.get("value", "") for each in run["status"]["outputs"]["parameters"]}


def test_five_ways_start_one_pipeline(cli: Cli, boilings: Path, stack: Any, tmp_path: Path) -> None:  # noqa: F811
    """Each reaches production with the same data and model; each says what started it."""
    _, first = cli.train("--upload", f"source={boilings}", "-p", f"use-case={TINY}")
    told = first["outputs"]["parameters"]
    api = Api(stack)
    by_hand = api.ask("GET", f"/api/v1/workflows/default/{first['name']}")
    source = next(
        each["value"] for each in by_hand["spec"]["arguments"]["parameters"] if each["name"] == "source"
    )  # fmt: skip
    given = [f"use-case={TINY}", f"source={source}", "started-by=ci"]

    by_http = api.ask(
        "POST", "/api/v1/workflows/default/submit",
        {"resourceKind": "WorkflowTemplate", "resourceName": TEMPLATE, "submitOptions": {"parameters": given, "generateName": "by-http-"}},
    )  # fmt: skip
    service = WorkflowsService(host=f"http://{api.address}", token=api.token, namespace="default")
    made = CronWorkflow(
        name="by-cron", schedules=["* * * * *"], concurrency_policy="Forbid", namespace="default",
        stop_strategy=StopStrategy(expression="cronworkflow.succeeded >= 1"), workflows_service=service,
        workflow_template_ref=WorkflowTemplateRef(name=TEMPLATE),
        arguments={"use-case": TINY, "source": source, "started-by": "schedule"},
    )  # fmt: skip
    made.create()
    (tmp_path / "binding.yaml").write_text(BINDING)
    cli("run", str(tmp_path / "binding.yaml"))
    for _ in range(3):
        api.ask(
            "POST", "/api/v1/events/default/files", {"bucket": "landing", "source": source},
            Authorization=api.events_token, **{"webhook-id": "delivery-1"},
        )  # fmt: skip
    by_hera = Workflow(
        generate_name="by-hera-", namespace="default", workflows_service=service,
        workflow_template_ref=WorkflowTemplateRef(name=TEMPLATE), arguments={"use-case": TINY, "source": source},
    ).create()  # fmt: skip

    names = {
        "http": lambda name: name == by_http["metadata"]["name"],
        "hera": lambda name: name == by_hera.metadata.name,  # type: ignore[union-attr]
        "cron": lambda name: name.startswith("by-cron-"),
        "event": lambda name: name.startswith("by-event-"),
    }
    for way, is_it in names.items():
        run = ended(api, is_it)
        found = outputs(run)
        assert found["etl-dataset"] == told["etl-dataset"], way
        assert found["evaluate-model-version"] == told["evaluate-model-version"], way
        assert found["promote-serving"].split("@")[0] == told["promote-serving"].split("@")[0], way
        expected = {"http": "ci", "hera": "person", "cron": "schedule", "event": "alert"}[way]
        assert run["metadata"]["labels"]["tiphys/started-by"] == expected
    assert sum(run["metadata"]["name"].startswith("by-event-") for run in api.runs()) == 1
    cron = api.ask("GET", "/api/v1/cron-workflows/default/by-cron")
    assert cron["status"]["succeeded"] >= 1
    assert cron["status"]["phase"] == "Stopped"
