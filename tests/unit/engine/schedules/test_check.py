"""What is wrong with a CronWorkflow or a WorkflowEventBinding is told before it is installed, with the remedy."""

from __future__ import annotations

import copy
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, load_text
from tiphys.engine.events import Deliveries, accept
from tiphys.engine.lint import finder, problems
from tiphys.engine.schedules.service import Schedules

pytestmark = pytest.mark.unit
Json = dict[str, Any]
MAIN = {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "debian:12", "command": ["true"]}}]}
TEMPLATE: Json = {
    "kind": "WorkflowTemplate",
    "metadata": {"name": "shared"},
    "spec": {
        **MAIN,
        "arguments": {"parameters": [{"name": "size", "enum": ["s", "l"]}, {"name": "who", "value": "you"}]},
    },
}


def cron(name: str = "nightly", **spec: Any) -> Json:
    """A CronWorkflow that is well but for what is given; None takes a field away."""
    given = {"schedules": ["0 4 * * *"], "workflowSpec": MAIN, **spec}
    return {
        "kind": "CronWorkflow",
        "metadata": {"name": name},
        "spec": {k: v for k, v in given.items() if v is not None},
    }


def binding(selector: str = "payload.size == 1", **submit: Any) -> Json:
    """A binding that is well but for what is given."""
    given = {
        "workflowTemplateRef": {"name": "shared"},
        "arguments": {"parameters": [{"name": "size", "valueFrom": {"event": "payload.size"}}]},
        **submit,
    }
    spec = {"event": {"selector": selector}, "submit": given}
    return {"kind": "WorkflowEventBinding", "metadata": {"name": "b"}, "spec": spec}


def found(document: Json, tmp_path: Path) -> list[str]:
    """All problems, where the template `shared` is known."""
    engine = Engine(tmp_path)
    return problems(copy.deepcopy(document), finder([TEMPLATE], engine.objects.get), engine.images)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {
            "schedules": ["@every 1h30m", "@daily", "*/5 1-3,7 ? JAN-mar MON"],
            "timezone": "Europe/Berlin",
            "suspend": True,
        },
        {"concurrencyPolicy": "Replace", "startingDeadlineSeconds": 0, "successfulJobsHistoryLimit": 0},
        {"when": "{{= cronworkflow.failed < 3 }} && {{cronworkflow.name}} == nightly"},
        {"stopStrategy": {"expression": "cronworkflow.succeeded >= 1"}},
        {"workflowMetadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}},
        {
            "workflowSpec": {
                "workflowTemplateRef": {"name": "shared"},
                "arguments": {"parameters": [{"name": "size", "value": "s"}]},
            }
        },
    ],
)
def test_a_cron_workflow_that_is_well_has_no_problem(spec: Json, tmp_path: Path) -> None:
    """Every field that Argo has is known."""
    assert found(cron(**spec), tmp_path) == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (cron("x" * 53), "must not be more than 52 characters long (currently 53)"),
        (cron(schedules=None), "cron workflow must have at least one schedule"),
        (cron(schedules=[]), "cron workflow must have at least one schedule"),
        (cron(schedules="0 4 * * *"), "CronWorkflow.spec.schedules: a list is needed here"),
        (cron(schedules=[5]), "CronWorkflow.spec.schedules[0]: a text (put it in quotes) is needed here, not 5"),
        (cron(schedules=["0 4 * *"]), "cron schedule 0 4 * * is malformed: expected exactly 5 fields, found 4: [0 4 * *]"),
        (cron(schedules=["61 4 * * *"]), "end of range (61) above maximum (59): 61"),
        (cron(schedules=["@never"]), "cron schedule @never is malformed: unrecognized descriptor: @never"),
        (cron(schedules=["@every 1.5h"]), "a cluster takes"),
        (cron(schedules=["CRON_TZ=UTC 0 4 * * *"]), "write spec.timezone"),
        (cron(timezone="Mars/Olympus"), 'invalid timezone "Mars/Olympus": unknown time zone Mars/Olympus'),
        (cron(timezone="../../etc/passwd"), "invalid timezone"),
        (cron(concurrencyPolicy="Maybe"), "'Maybe' is not a valid concurrencyPolicy: write Allow, Forbid, Replace"),
        (cron(startingDeadlineSeconds=-1), "startingDeadlineSeconds must be positive"),
        (cron(startingDeadlineSeconds="60"), "startingDeadlineSeconds: a whole number is needed here, not '60'"),
        (cron(suspend="yes"), "spec.suspend"),
        (cron(when=True), "spec.when"),
        (cron(when='{{= "a" == "b" }}'), "CronWorkflow.spec.when: failed to unmarshall JSON expression"),
        (cron(when="{{= 1 + }}"), "CronWorkflow.spec.when: "),
        (cron(stopStrategy={}), "CronWorkflow.spec.stopStrategy.expression: write one"),
        (cron(stopStrategy={"expression": "1 +"}), "CronWorkflow.spec.stopStrategy.expression: "),
        (cron(stopStrategy={"condition": "true"}), "is not read since Argo 4: write expression"),
        (cron(schedule="0 4 * * *"), "is not read since Argo 4: write schedules, a list"),
        (cron(schedulez=[]), 'unknown field "schedulez"'),
        (cron(workflowSpec=None), "CronWorkflow.spec.workflowSpec is required"),
        (cron(workflowSpec={**MAIN, "entrypoint": "gone"}), "cannot validate Workflow: spec.entrypoint template name 'gone' undefined"),
        (cron(workflowSpec={"workflowTemplateRef": {"name": "gone"}}), "cannot validate Workflow: WorkflowTemplate 'gone' is not known"),
        (cron(workflowSpec={**MAIN, "nonsense": 1}), 'unknown field "nonsense"'),
        (binding("1 +"), "spec.event.selector: "),
        (binding(""), "spec.event.selector: write an expression"),
        (binding("event.payload.x"), "spec.event.selector: unknown name event: an event has namespace, discriminator"),
        (binding('sprig.upper("a") == "A"'), "unknown name sprig"),
        (binding(workflowTemplateRef={"name": "gone"}), "WorkflowTemplate 'gone' is not known"),
        (binding(workflowTemplateRef={}), "workflowTemplateRef.name is required"),
        (binding(arguments={}), "spec.arguments.size.value"),
        (binding(arguments={"parameters": [{"name": "size"}]}), 'malformed workflow template parameter "size": valueFrom is nil'),
        (binding(arguments={"parameters": [{"name": "size", "value": "x"}]}), "write valueFrom.event"),
        (binding(arguments={"artifacts": [{"name": "a"}]}), "an event has no artifacts"),
        (binding(arguments={"parameters": [{"name": "size", "valueFrom": {"event": "1 +"}}]}), "spec.submit.arguments.parameters.size: "),
        (binding(metadata={"name": "nothing.x"}), "spec.submit.metadata.name: unknown name nothing"),
        (binding(metadata={"labels": {"a": 1}}), "metadata"),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_remedy(document: Json, said: str, tmp_path: Path) -> None:
    """Before anything is kept; in Argo's words where it has any."""
    listed = found(document, tmp_path)
    assert any(said in problem for problem in listed), listed


def test_a_binding_that_is_well_has_no_problem(tmp_path: Path) -> None:
    """Functions of Argo are known in metadata; a binding without `submit` only matches."""
    assert found(binding(metadata={"name": 'sprig.lower(payload.size) + "-x"', "labels": {"a": '"b"'}}), tmp_path) == []
    without = binding()
    del without["spec"]["submit"]
    assert found(without, tmp_path) == []


HOSTILE: list[Any] = [
    None, "", 0, -1, 1e99, True, [], {}, [[]], [{}], {"a": 1}, "x" * 1000, "{{", "{{=", "\0", "@every 1ns", [None], "\ud800",
    10**30,
]  # fmt: skip


def _mutated(tree: Any, rng: random.Random) -> Any:
    """`tree` with something hostile in one place."""
    if not isinstance(tree, (dict, list)) or not tree or rng.random() < 0.1:
        return rng.choice(HOSTILE)
    key = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
    changed = copy.copy(tree)
    changed[key] = _mutated(tree[key], rng)
    return changed


@pytest.mark.parametrize("seed", range(20))
def test_no_mutant_breaks_the_check_or_the_engine(seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stands where: a refusal is a sentence; what is kept all the same is told in its status or its event."""
    engine, rng = Engine(tmp_path), random.Random(seed)
    engine.apply([TEMPLATE])
    schedules, deliveries = Schedules(engine), Deliveries(engine)
    whole = cron(when="{{= 1 == 1 }}", suspend=False, startingDeadlineSeconds=5, stopStrategy={"expression": "false"})
    for _ in range(15):
        document = _mutated(rng.choice([whole, binding(metadata={"name": '"x"', "labels": {"a": '"b"'}})]), rng)
        found(document, tmp_path)
        with suppress(ManifestError):
            engine.apply([document] if isinstance(document, dict) else [])
        accept(engine, "default", "", {"size": 1})
        for moment in (1.9e9, 1.9e9 + 86400):
            schedules.tick(moment)
            deliveries.tick(moment)
    assert [record for record in caplog.records if record.exc_info] == []


def test_what_stands_beside_a_workflow_is_checked_with_it(tmp_path: Path) -> None:
    """A file with a Workflow and a schedule that is none installs neither."""
    engine = Engine(tmp_path)
    text = 'kind: Workflow\nmetadata: {name: w}\nspec: {entrypoint: main, templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]}'
    with pytest.raises(ManifestError, match="must have at least one schedule"):
        engine.submit([*load_text(text), cron(schedules=[])])
    assert engine.objects.names("CronWorkflow") == []
    assert engine.runs() == []
