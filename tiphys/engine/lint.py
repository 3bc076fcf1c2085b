"""Every problem of a manifest, not only the first: for `tiphys lint`, and before something is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tiphys.engine.errors import ManifestError
from tiphys.engine.fields import check_fields
from tiphys.engine.images import ImageTable
from tiphys.engine.merge import effective_spec
from tiphys.engine.shapes import check_shape
from tiphys.engine.validate import Notice, every_problem

Json = dict[str, Any]
Find = Callable[[str, str], Json | None]
TEMPLATES = ("WorkflowTemplate", "ClusterWorkflowTemplate")
KEPT = (*TEMPLATES, "ConfigMap", "Secret", "CronWorkflow", "WorkflowEventBinding")


def problems(document: Json, find: Find, images: ImageTable, notice: Notice | None = None) -> list[str]:
    """What is wrong with one document; `find(kind, name)` gives the objects that it may refer to.

    `notice` hears of every tag, with all that is known where it stands.
    """
    found = list(_fields(document) if isinstance(document, dict) else _tried([document]))
    if found:
        return found
    kind = document["kind"]
    if kind == "CronWorkflow":
        return _of_cron(document, find, images, notice)
    if kind == "WorkflowEventBinding":
        from tiphys.engine.events.check import binding_problems  # noqa: PLC0415  # few manifests have one

        return binding_problems(document, find, images)
    if kind != "Workflow" and kind not in TEMPLATES:
        return []
    try:
        spec = effective_spec({"spec": document.get("spec")}, find)
    except ManifestError as problem:
        return [str(problem)]
    return every_problem(spec, find, images, library=kind in TEMPLATES, notice=notice)


def _of_cron(document: Json, find: Find, images: ImageTable, notice: Notice | None) -> list[str]:
    """What is wrong with a CronWorkflow itself, then with the Workflow that it starts."""
    from tiphys.engine.schedules.check import check_cron_workflow  # noqa: PLC0415  # few manifests have one

    found = []
    try:
        check_cron_workflow(document)
    except ManifestError as problem:
        found.append(str(problem))
    if not (document.get("spec") or {}).get("workflowSpec"):
        return [*found, "CronWorkflow.spec.workflowSpec is required: write what a Workflow's spec holds"]
    metadata = {"name": (document.get("metadata") or {}).get("name")}
    workflow = {"kind": "Workflow", "metadata": metadata, "spec": document["spec"]["workflowSpec"]}
    return found + [f"cannot validate Workflow: {problem}" for problem in problems(workflow, find, images, notice)]


def _fields(document: Json) -> Iterable[str]:
    """The first shape or field that is wrong outside of the templates, and in each template."""
    spec = document.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("templates"), list):
        return _tried([document])
    head = {**document, "spec": {key: value for key, value in spec.items() if key != "templates"}}
    return _tried([head, *({**document, "spec": {"templates": [template]}} for template in spec["templates"])])


def _tried(documents: Iterable[Json]) -> Iterable[str]:
    for document in documents:
        try:
            check_shape(document)
            check_fields(document)
        except ManifestError as problem:
            yield str(problem)


def _well(documents: Iterable[Json]) -> Iterator[Json]:
    for document in documents:
        try:
            check_shape(document)
        except ManifestError:
            continue  # `problems` tells
        yield document


def finder(documents: Iterable[Json], beyond: Find) -> Find:
    """`find(kind, name)` among those of `documents` that have the shape of an object, else in `beyond`."""
    local = {
        (document["kind"], (document.get("metadata") or {}).get("name")): document for document in _well(documents)
    }

    def find(kind: str, name: str) -> Json | None:
        return local.get((kind, name)) or beyond(kind, name)

    return find
