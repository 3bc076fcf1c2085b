"""Every rendered file fits a cluster that is strict with pods, and a person who sees it in Argo's UI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hera.workflows import CronWorkflow, WorkflowTemplate
from hera.workflows import models as m

from tiphys.engine.merge import with_defaults
from tiphys.errors import PermanentError
from tiphys.manifest import BUILDER_CAPABILITIES, SERVICE_ACCOUNT
from tiphys.rendering import KINDS, documents, text
from tiphys.settings import PROJECT
from tiphys.step import contracts
from tiphys.workflow import EXECUTOR_ACCOUNT

Json = dict[str, Any]
pytestmark = pytest.mark.unit
FILES = sorted((PROJECT / "workflows" / "rendered").glob("*.yaml"))
DOCUMENTS = [
    each for file in FILES for each in yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
]
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"
)
each_template = pytest.mark.parametrize(
    "document",
    [each for each in DOCUMENTS if each["kind"] in ("WorkflowTemplate", "ClusterWorkflowTemplate")],
    ids=lambda each: each["metadata"]["name"],
)


def _pods(document: Json) -> Iterator[Json]:
    """The templates that become pods, with what templateDefaults add to them."""
    spec = document["spec"]
    for template in spec["templates"]:
        whole = with_defaults(template, spec.get("templateDefaults"))
        if any(key in whole for key in ("container", "script", "containerSet")):
            yield whole


def _containers(template: Json) -> Iterator[Json]:
    yield from (template[key] for key in ("container", "script") if key in template)
    yield from template.get("sidecars", [])
    yield from template.get("initContainers", [])
    yield from template.get("containerSet", {}).get("containers", [])


NEED_ROOT = {"build-images"}
"""The one exception: what mounts and unpacks images. Whoever adds another says here and in the manifest why."""


@each_template
def test_a_pod_that_needs_root_says_so_and_asks_for_no_more(document: Json) -> None:
    """Named capabilities instead of `privileged`, nothing of the node, a read-only root, and the reason for a reader."""
    for template in _pods(document):
        annotations = template["metadata"]["annotations"]
        assert ("tiphys/needs-root" in annotations) == (template["name"] in NEED_ROOT)
        if template["name"] in NEED_ROOT:
            assert template["securityContext"]["runAsUser"] == 0
            for container in _containers(template):
                context = container["securityContext"]
                assert context["capabilities"] == {"drop": ["ALL"], "add": list(BUILDER_CAPABILITIES)}
                assert context["readOnlyRootFilesystem"] is True
                assert not {"privileged", "procMount"} & context.keys()
            assert all("emptyDir" in volume for volume in template.get("volumes", []))
            assert not {"hostNetwork", "hostPID", "hostIPC"} & template.keys()


@each_template
def test_a_pod_fits_the_level_restricted(document: Json) -> None:
    """What Kubernetes' Pod Security Standards ask of that level, and more: a read-only root; but for the one exception."""
    for template in (each for each in _pods(document) if each["name"] not in NEED_ROOT):
        pod = template.get("securityContext", document["spec"]["securityContext"])
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] == pod["runAsGroup"] == pod["fsGroup"] == 65532
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in _containers(template):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert not {"privileged", "procMount", "runAsUser"} & context.keys()
        assert all("emptyDir" in volume for volume in template.get("volumes", []))
        assert not {"hostNetwork", "hostAliases"} & document["spec"].keys()


@each_template
def test_all_that_a_pod_may_write_to_has_a_bound(document: Json) -> None:
    """Memory, CPU, time and the room in /tmp; inputs and outputs lie below it, because the root can't be written."""
    for template in _pods(document):
        assert template["activeDeadlineSeconds"]
        assert all(volume["emptyDir"]["sizeLimit"] for volume in template["volumes"])
        for container in _containers(template):
            assert set(container["resources"]["limits"]) == set(container["resources"]["requests"]) == {"cpu", "memory"}
        inputs, outputs = template.get("inputs", {}), template.get("outputs", {})
        declared = [entry["path"] for entry in (*inputs.get("artifacts", []), *outputs.get("artifacts", []))]
        declared += [entry["valueFrom"]["path"] for entry in outputs.get("parameters", [])]
        assert all(path.startswith("/tmp/") for path in declared)


@each_template
def test_a_step_has_no_token_and_argos_own_containers_have_theirs(document: Json) -> None:
    """Argo refuses automountServiceAccountToken: false without an account for its executor."""
    spec = document["spec"]
    assert spec["serviceAccountName"] == SERVICE_ACCOUNT
    assert spec["automountServiceAccountToken"] is False
    assert spec["executor"] == {"serviceAccountName": EXECUTOR_ACCOUNT}
    for template in _pods(document):
        assert "executor" not in template
        own = {key: template[key] for key in ("serviceAccountName", "automountServiceAccountToken") if key in template}
        makes_pods = {each.template for each in contracts().values() if each.access.pods}
        # The ServiceAccount of such a step decides whether it has a token.
        wanted = {"serviceAccountName": f"tiphys-{template['name']}", "automountServiceAccountToken": True}
        assert own == (wanted if template["name"] in makes_pods else {})


def test_only_steps_with_spark_may_make_pods() -> None:
    """Spark's executors are the only pods that a step of ours makes."""
    assert [each.name for each in contracts().values() if each.access.pods] == [
        "batch_score",
        "collect_outcomes",
        "etl",
    ]


@each_template
def test_a_run_ends_and_goes_but_its_evidence_stays(document: Json) -> None:
    """A deadline, a time to live for every phase, pods that go; no artifact goes with the workflow."""
    spec = document["spec"]
    assert spec["activeDeadlineSeconds"]
    assert set(spec["ttlStrategy"]) == {"secondsAfterSuccess", "secondsAfterFailure", "secondsAfterCompletion"}
    assert spec["podGC"]["strategy"] == "OnPodSuccess"
    assert spec["artifactGC"] == {"strategy": "Never"}
    artifacts = [each for template in spec["templates"] for each in template.get("outputs", {}).get("artifacts", [])]
    assert all("artifactGC" not in each for each in artifacts)


def test_two_trainings_of_one_use_case_take_turns() -> None:
    """The lock is the whole workflow's, and its name comes from the parameter."""
    (training,) = (each for each in DOCUMENTS if each["metadata"]["name"] == "continuous-training")
    assert training["spec"]["synchronization"] == {"mutexes": [{"name": "use-case-{{workflow.parameters.use-case}}"}]}


@each_document
def test_the_ui_shows_what_it_is(document: Json) -> None:
    """A title, a description that is a sentence, a label that all of ours have."""
    annotations = document["metadata"]["annotations"]
    assert annotations["workflows.argoproj.io/title"]
    assert annotations["workflows.argoproj.io/description"].strip().endswith(".")
    assert document["metadata"]["labels"]["app.kubernetes.io/part-of"] == "tiphys"


@each_document
def test_the_uis_form_explains_itself(document: Json) -> None:
    """Each parameter is described; one with a few values lists them; one without a default says that it must be given."""
    spec = document["spec"].get("workflowSpec", document["spec"])
    for parameter in spec.get("arguments", {}).get("parameters", []):
        assert parameter["description"]
        if "value" not in parameter:
            assert "must be given" in parameter["description"]
        if parameter.get("value") in ("true", "false"):
            assert parameter["enum"] == ["true", "false"]
        assert "enum" not in parameter or parameter["value"] in parameter["enum"]
    for template in spec.get("templates", []):
        for parameter in template.get("inputs", {}).get("parameters", []):
            assert parameter["description"]


@each_template
def test_a_run_is_found_by_its_labels(document: Json) -> None:
    """Workflow, and what started it; each label comes from a parameter that there is."""
    spec = document["spec"]
    given = {each["name"] for each in spec["arguments"]["parameters"]}
    metadata = spec["workflowMetadata"]
    assert metadata["labels"]["tiphys/workflow"] == document["metadata"]["name"]
    assert "tiphys/started-by" in metadata["labelsFrom"]
    for source in metadata["labelsFrom"].values():
        assert source["expression"].removeprefix("workflow.parameters['").removesuffix("']") in given
    for template in _pods(document):
        assert template["metadata"]["labels"]["app.kubernetes.io/component"] == template["name"]


def _cron() -> CronWorkflow:
    return CronWorkflow(name="nightly", schedules=["0 3 * * *"], workflow_template_ref=m.WorkflowTemplateRef(name="a"))


def _binding() -> m.WorkflowEventBinding:
    return m.WorkflowEventBinding(
        api_version="argoproj.io/v1alpha1",
        kind="WorkflowEventBinding",
        metadata=m.ObjectMeta(name="alert"),
        spec=m.WorkflowEventBindingSpec(
            event=m.Event(selector="true"), submit=m.Submit(workflow_template_ref=m.WorkflowTemplateRef(name="a"))
        ),
    )


def test_kinds_stand_in_their_order() -> None:
    """A module may return several objects; templates come before what refers to them, names in order."""
    made = [_binding(), _cron(), WorkflowTemplate(name="b", entrypoint="x"), WorkflowTemplate(name="a", entrypoint="x")]
    found = [(each["kind"], each["metadata"]["name"]) for each in documents(made)]
    assert found == [
        ("WorkflowTemplate", "a"),
        ("WorkflowTemplate", "b"),
        ("CronWorkflow", "nightly"),
        ("WorkflowEventBinding", "alert"),
    ]
    assert [kind for kind, _ in found] == sorted((kind for kind, _ in found), key=KINDS.index)
    assert [each["kind"] for each in yaml.safe_load_all(text(documents(made)))] == [kind for kind, _ in found]


def test_other_kinds_are_not_rendered_here() -> None:
    """A Secret in a rendered file would be one in Git."""
    with pytest.raises(PermanentError, match="Secret"):
        documents(_binding().model_copy(update={"kind": "Secret"}))


def test_what_is_written_is_read_again_as_it_was() -> None:
    """Texts of several lines, quotes, braces that are not closed, what YAML takes for something else."""
    values = {
        "a": "one\ntwo\n",
        "b": "{{x",
        "c": "no",
        "d": "1e3",
        "e": "'\"",
        "f": " x",
        "g": "ä\t",
        "h": "2020-01-01",
    }
    document = {"kind": "WorkflowTemplate", "metadata": {"name": "x"}, "spec": values}
    assert yaml.safe_load(text([document])) == document
