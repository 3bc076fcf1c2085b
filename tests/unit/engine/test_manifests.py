"""Manifests: every field honoured, advisory or refused; templates merged as Argo does; objects kept safely."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, ObjectStore, load_images, load_text
from tiphys.engine.fields import verdicts
from tiphys.engine.images import Image, ImageTable, machine_images
from tiphys.engine.merge import effective_spec, strategic_merge, with_defaults

pytestmark = pytest.mark.unit
OK = 'container: {image: "debian:12", command: ["true"]}'


def manifest(body: str, templates: str = "") -> list[dict[str, Any]]:
    """A Workflow whose template `main` has `body`."""
    return load_text(
        f"kind: Workflow\nmetadata: {{name: w}}\nspec:\n  entrypoint: main\n  templates:\n  - name: main\n    {body}\n{templates}"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"{OK}\n    whenn: x", 'unknown field "whenn"'),
        ("resource: {action: get}", "need a Kubernetes API server"),
        ("plugin: {hello: {}}", "executor plugins need a cluster"),
        ('container: {image: "quay.io/a/b:1", command: [x]}', "no stand-in on this machine"),
        ('container: {image: "debian:12"}', "has no command: give `command` or map the image"),
        (f"{OK}\n    volumes: [{{name: v, hostPath: {{path: /}}}}]", "use emptyDir"),
        ("dag: {tasks: [{name: a, template: nobody}]}", "template name 'nobody' undefined"),
        ("dag: {tasks: [{name: a, template: main, depends: a.Sucess}]}", "'Sucess' for task 'a' is invalid"),
        (
            "steps: [[{name: a, template: main, arguments: {parameters: [{name: x, value: '{{steps.b.outputs.result}}'}]}}]]",
            "failed to resolve {{steps.b.outputs.result}}",
        ),
        (f"{OK}\n    inputs: {{parameters: [{{name: n}}]}}", "YAML reads a bare y, n, on"),
        ("inputs: {}", "type is unknown"),
    ],
)
def test_what_can_not_run_here_is_refused_with_a_remedy(tmp_path: Path, body: str, message: str) -> None:
    """What can not run here is refused with a remedy."""
    with pytest.raises(ManifestError) as refusal:
        Engine(tmp_path).check(manifest(body))
    assert message in str(refusal.value)


def test_advisory_fields_are_told_by_where_they_count(tmp_path: Path) -> None:
    """One line for what needs a cluster, one for what a container has, too."""
    body = OK.replace("}", ", tty: true, resources: {limits: {cpu: 1}}, securityContext: {runAsNonRoot: true}}")
    notes = Engine(tmp_path).check(manifest(body))[2]
    assert notes == [
        "tty counts on a cluster only (first at Workflow w.spec.templates.main.container)",
        "resources, securityContext count in containers only: on a cluster, or here with --containers",
    ]


def test_every_field_has_exactly_one_verdict() -> None:
    """Every field has exactly one verdict."""
    found = [field for fields in verdicts().values() for field in fields]
    assert len(found) == len(set(found))


def test_a_missing_parameter_is_named_with_what_to_type(tmp_path: Path) -> None:
    """A missing parameter is named with what to type."""
    documents = manifest(OK)
    documents[0]["spec"]["arguments"] = {"parameters": [{"name": "source"}]}
    with pytest.raises(ManifestError, match="-p source="):
        Engine(tmp_path).check(documents)
    Engine(tmp_path).check(documents, parameters={"source": "s3://x/"})


def test_a_workflow_goes_over_the_template_that_it_refers_to() -> None:
    """A workflow goes over the template that it refers to."""
    stored = {
        "spec": {
            "entrypoint": "a",
            "arguments": {"parameters": [{"name": "x", "value": 1}, {"name": "y", "value": "t"}]},
        }
    }
    workflow = {
        "spec": {"workflowTemplateRef": {"name": "t"}, "arguments": {"parameters": [{"name": "x", "value": 2}]}}
    }
    spec = effective_spec(workflow, lambda _kind, _name: stored)
    assert spec["entrypoint"] == "a"
    assert spec["arguments"]["parameters"] == [{"name": "x", "value": "2"}, {"name": "y", "value": "t"}]


def test_template_defaults_lie_under_a_template_of_their_type() -> None:
    """Template defaults lie under a template of their type."""
    defaults = {"timeout": "5m", "container": {"image": "debian:12", "env": [{"name": "A", "value": "1"}]}}
    template = {"name": "t", "container": {"command": ["x"], "env": [{"name": "B", "value": "2"}]}}
    merged = with_defaults(template, defaults)
    assert merged["timeout"] == "5m"
    assert [entry["name"] for entry in merged["container"]["env"]] == ["B", "A"]
    assert "container" not in with_defaults({"name": "d", "dag": {"tasks": []}}, defaults)


def test_a_merge_changes_neither_side() -> None:
    """A merge changes neither side."""
    base, over = {"a": {"b": [1]}}, {"a": {"c": 2}}
    assert strategic_merge(base, over) == {"a": {"b": [1], "c": 2}}
    assert (base, over) == ({"a": {"b": [1]}}, {"a": {"c": 2}})


def test_objects_are_kept_for_their_owner_only(tmp_path: Path) -> None:
    """Objects are kept for their owner only."""
    store = ObjectStore(tmp_path / "state")
    encoded = base64.b64encode(b"hidden").decode()
    store.apply({"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": encoded}, "stringData": {"b": "plain"}})
    assert ObjectStore(tmp_path / "state").data("Secret", "s") == {"a": "hidden", "b": "plain"}
    assert (tmp_path / "state" / "objects.db").stat().st_mode & 0o077 == 0
    assert store.delete("Secret", "s")
    assert store.data("Secret", "s") is None
    with pytest.raises(ManifestError, match="the store keeps"):
        store.apply({"kind": "Pod", "metadata": {"name": "p"}})


def test_the_first_pattern_that_matches_an_image_counts(tmp_path: Path) -> None:
    """The first pattern that matches an image counts."""
    file = tmp_path / "images.toml"
    file.write_text(
        '[[image]]\npattern = "python:3.11"\nworkdir = "/w"\n[[image]]\npattern = "*/mine/*"\nentrypoint = ["go"]\n'
    )
    table = ImageTable([*load_images(file), Image("tiphys/*"), *machine_images()])
    assert table.require("python:3.11", "t").workdir == "/w"
    assert table.require("ghcr.io/mine/x:1", "t").entrypoint == ("go",)
    assert table.require("docker.io/library/alpine", "t").pattern == "alpine:*"
    assert table.find("quay.io/other:1") is None
