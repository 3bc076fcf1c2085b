"""Every problem of a manifest, not only the first: for `tiphys lint`, and before something is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tiphys.engine.errors import ManifestError
from tiphys.engine.fields import check_fields
from tiphys.engine.images import ImageTable
from tiphys.engine.merge import effective_spec
from tiphys.engine.shapes import check_shape
from tiphys.engine.validate import every_problem

Json = dict[str, Any]
Find = Callable[[str, str], Json | None]
TEMPLATES = ("WorkflowTemplate", "ClusterWorkflowTemplate")
KEPT = (*TEMPLATES, "ConfigMap", "Secret")


def problems(document: Json, find: Find, images: ImageTable) -> list[str]:
    """What is wrong with one document; `find(kind, name)` gives the objects that it may refer to."""
    found = list(_fields(document) if isinstance(document, dict) else _tried([document]))
    if found:
        return found
    kind = document["kind"]
    if kind == "CronWorkflow":
        return [cron_refusal(document)]
    if kind != "Workflow" and kind not in TEMPLATES:
        return []
    try:
        spec = effective_spec({"spec": document.get("spec")}, find)
    except ManifestError as problem:
        return [str(problem)]
    return every_problem(spec, find, images, library=kind in TEMPLATES)


def cron_refusal(document: Json) -> str:
    """Why a CronWorkflow is not taken yet, and what to do instead."""
    name = (document.get("metadata") or {}).get("name") or ""
    return (
        f"CronWorkflow {name!r}: schedules are not honoured here yet: "
        "put its workflowSpec into a Workflow's spec to run it once"
    )


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
