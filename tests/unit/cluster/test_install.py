"""What installing compares, keeps and orders; the server's part is tried on a real one (tests/e2e/cluster)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from tiphys.cluster.install import CREATED, Change, _merged, _templates_first, bare, essence, references
from tiphys.placement import settle
from tiphys.settings import PROJECT

pytestmark = pytest.mark.unit
RENDERED = [
    document
    for path in sorted((PROJECT / "workflows" / "rendered").glob("*.yaml"))
    for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    if document["kind"] == "WorkflowTemplate"
]


def template(**metadata: Any) -> dict[str, Any]:
    """A small WorkflowTemplate."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "one", **metadata},
        "spec": {"entrypoint": "main"},
    }


@pytest.mark.parametrize("document", RENDERED, ids=lambda each: each["metadata"]["name"])
def test_a_manifest_in_another_place_is_bare_the_same(document: dict[str, Any]) -> None:
    """A manifest that was settled for a registry and a tag does not count as another one."""
    there = settle([document], registry="registry.example.org:5000/team", tag="9.9.9", namespace="other")[0]
    assert bare(essence(there)) == bare(essence(document))
    assert essence(there) != essence(document)


@pytest.mark.parametrize("document", RENDERED, ids=lambda each: each["metadata"]["name"])
def test_any_other_image_counts_as_a_difference(document: dict[str, Any]) -> None:
    """An image of somebody else in the place of ours is a difference."""
    other = copy.deepcopy(document)
    first = next(each for each in other["spec"]["templates"] if "container" in each)
    first["container"]["image"] = "evil/ingest:0.1.0"
    assert bare(essence(other)) != bare(essence(document))


def test_what_the_server_wrote_beside_our_labels_stays_and_ours_that_went_go() -> None:
    """An update keeps the creator's label and the last schedule, and takes away a label that we no longer set."""
    creator = {"workflows.argoproj.io/creator": "somebody"}
    live = template(labels={**creator, "team": "old"}, resourceVersion="7", uid="u", managedFields=[{}])
    merged = _merged(live, template(labels={"stage": "new"}))
    assert merged["metadata"]["labels"] == {**creator, "stage": "new"}
    assert merged["metadata"]["resourceVersion"] == "7"
    assert "managedFields" not in merged["metadata"]


def test_an_installed_object_that_is_as_ours_is_unchanged() -> None:
    """The server's own label alone makes no difference."""
    live = template(labels={"workflows.argoproj.io/creator": "somebody", "team": "a"}, resourceVersion="7")
    assert essence(_merged(live, template(labels={"team": "a"}))) == essence(live)


def test_a_cron_that_was_suspended_there_stays_suspended() -> None:
    """An update does not wake a CronWorkflow that somebody suspended on the cluster, and keeps its status."""
    cron = {**template(), "kind": "CronWorkflow"}
    live = {
        **copy.deepcopy(cron),
        "spec": {"entrypoint": "main", "suspend": True},
        "status": {"lastScheduledTime": "x"},
    }
    merged = _merged(live, cron)
    assert merged["spec"]["suspend"] is True
    assert merged["status"] == {"lastScheduledTime": "x"}


def test_a_cron_that_comes_suspended_and_was_resumed_there_goes_on() -> None:
    """What an operator opted in to is not taken back by the next installation."""
    cron = {**template(), "kind": "CronWorkflow"}
    live = {**copy.deepcopy(cron), "spec": {"entrypoint": "main", "suspend": False}}
    cron["spec"]["suspend"] = True
    assert _merged(live, cron)["spec"]["suspend"] is False


def test_templates_go_before_the_crons_that_refer_to_them() -> None:
    """What is referred to is installed first."""
    cron = {**template(), "kind": "CronWorkflow", "spec": {"workflowSpec": {"workflowTemplateRef": {"name": "one"}}}}
    assert min([cron, template()], key=_templates_first)["kind"] == "WorkflowTemplate"
    assert list(references(cron)) == ["one"]


def test_a_reference_to_the_whole_cluster_is_none_of_ours() -> None:
    """A ClusterWorkflowTemplate is not among what is installed."""
    assert not list(references({"templateRef": {"name": "x", "template": "y", "clusterScope": True}}))


def test_a_change_knows_what_it_is_about() -> None:
    """Kind and name come from what shall be."""
    change = Change(CREATED, None, template())
    assert (change.kind, change.name) == ("WorkflowTemplate", "one")
