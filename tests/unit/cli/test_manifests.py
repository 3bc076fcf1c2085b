"""What a person names becomes documents to install and a Workflow to run."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tiphys.cli.manifests import Overrides, Submission, overridden, parse_labels, submissions
from tiphys.cli.runs import find_name
from tiphys.engine import Engine, EngineError, ManifestError, load_text
from tiphys.settings import PROJECT

pytestmark = pytest.mark.unit
WORKFLOW = "kind: Workflow\nmetadata: {name: %s}\nspec: {entrypoint: main, templates: [{name: main, suspend: {}}]}\n"
TEMPLATE = WORKFLOW.replace("kind: Workflow", "kind: WorkflowTemplate")


def kinds(submission: Submission) -> list[str]:
    """The kinds of its documents."""
    return [document["kind"] for document in submission.documents]


def test_several_files_and_standard_input_are_one_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The templates of one are there for the Workflow of the other."""
    (tmp_path / "t.yaml").write_text(TEMPLATE % "t")
    monkeypatch.setattr(sys, "stdin", io.StringIO(WORKFLOW % "w"))
    found = submissions([str(tmp_path / "t.yaml"), "-"], tmp_path, Engine(tmp_path / "state"))
    assert [kinds(each) for each in found] == [["WorkflowTemplate", "Workflow"]]
    assert found[0].template == ""


def test_each_of_several_workflows_is_run_with_what_is_beside_it(tmp_path: Path) -> None:
    """One after the other, as they stand there."""
    path = tmp_path / "all.yaml"
    path.write_text("---\n".join([WORKFLOW % "one", TEMPLATE % "t", WORKFLOW % "two"]))
    found = submissions([str(path)], tmp_path, Engine(tmp_path / "state"))
    assert [each.documents[0]["metadata"]["name"] for each in found] == ["one", "two"]
    assert [kinds(each)[1:] for each in found] == [["WorkflowTemplate"]] * 2


def test_objects_alone_are_only_to_install(tmp_path: Path) -> None:
    """Nothing runs; but one template alone is what a person wants to run."""
    path = tmp_path / "objects.yaml"
    path.write_text("kind: ConfigMap\nmetadata: {name: c}\n")
    (only,) = submissions([str(path)], tmp_path, Engine(tmp_path / "state"))
    assert not only.runs
    path.write_text(TEMPLATE % "t")
    (only,) = submissions([str(path)], tmp_path, Engine(tmp_path / "state"))
    assert (only.runs, only.template) == (True, "t")


def test_an_installed_template_is_run_by_its_name(tmp_path: Path) -> None:
    """And a name that nobody knows is refused with those that there are."""
    engine = Engine(tmp_path / "state")
    engine.apply(load_text(TEMPLATE % "stored"))
    assert submissions(["stored"], tmp_path, engine) == [Submission([], "stored")]
    with pytest.raises(ManifestError, match="known: stored"):
        submissions(["strod"], tmp_path, engine)


def test_the_command_line_has_the_last_word() -> None:
    """Entrypoint, labels and the name's beginning; what was there before stays otherwise."""
    document = load_text(WORKFLOW.replace("{name: %s}", "{name: w, labels: {a: b}}"))[0]
    (changed,) = overridden(Submission([document]), Overrides("other", "pre-", "c=d,e=f")).documents
    assert changed["metadata"] == {"labels": {"a": "b", "c": "d", "e": "f"}, "generateName": "pre-"}
    assert changed["spec"]["entrypoint"] == "other"
    assert document["spec"]["entrypoint"] == "main"


def test_a_template_that_is_overridden_becomes_a_workflow_that_refers_to_it() -> None:
    """So that its entrypoint can be another."""
    changed = overridden(Submission([], "stored"), Overrides(entrypoint="other"))
    assert changed.template == ""
    assert changed.documents[0]["spec"] == {"workflowTemplateRef": {"name": "stored"}, "entrypoint": "other"}


def test_labels_are_pairs() -> None:
    """With the form to write where one is not."""
    assert parse_labels("a=b, c=") == {"a": "b", "c": ""}
    with pytest.raises(ManifestError, match="KEY=VALUE"):
        parse_labels("a")


def test_a_missing_run_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    """And @latest is the latest."""
    engine = Engine(tmp_path / "state")
    with pytest.raises(EngineError, match="no run yet"):
        find_name(engine, "@latest")
    for name in ("hello-one", "training-two"):
        engine.submit(load_text(WORKFLOW % name))
    assert find_name(engine, "@latest") == "training-two"
    with pytest.raises(EngineError, match="did you mean 'hello-one'"):
        find_name(engine, "helo-one")
    with pytest.raises(EngineError, match="the latest: training-two, hello-one"):
        find_name(engine, "zzz")


def test_a_schedule_of_ours_stays_as_somebody_left_it(tmp_path: Path) -> None:
    """Resumed it stays resumed, however often it is taken from here; what is new comes as it is rendered."""
    engine = Engine(tmp_path / "state")
    (ours,) = submissions(["scheduled-training"], PROJECT, engine)
    assert (kinds(ours), ours.template) == (["WorkflowTemplate", "CronWorkflow"], "scheduled-training")
    assert ours.documents[1]["spec"]["suspend"] is True
    engine.apply(ours.documents)
    engine.objects.update(
        "CronWorkflow", "scheduled-training", lambda old: {**old, "spec": {**old["spec"], "suspend": False}}
    )
    (again,) = submissions(["scheduled-training"], PROJECT, engine)
    assert again.documents[1]["spec"]["suspend"] is False
