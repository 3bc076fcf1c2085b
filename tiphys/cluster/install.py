"""Puts templates into a cluster: first finds out what would change and whether it may, then changes it.

An object is sent through the server's own linter, which answers with it as the server would keep it; so `unchanged` is
said by comparing like with like. Argo's API can list WorkflowEventBindings and not change them: they are only compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tiphys.cluster.errors import ClusterError, ConflictError, ForbiddenError, NoNamespaceError, NotThereError
from tiphys.cluster.server import ArgoServer
from tiphys.placement import IMAGE_PREFIX

Json = dict[str, Any]
KINDS = ("WorkflowTemplate", "CronWorkflow")
BINDING = "WorkflowEventBinding"
CREATED, UPDATED, UNCHANGED, BY_HAND = "created", "updated", "unchanged", "by hand"
_NEVER = "1"  # a resourceVersion that no object to be created may have, and no installed one still has
_SERVERS_OWN = ("workflows.argoproj.io/", "cronworkflows.argoproj.io/", "kubectl.kubernetes.io/")
_REFERENCES = ("workflowTemplateRef", "templateRef")


@dataclass(frozen=True)
class Change:
    """One object: what becomes of it, what is there, and what shall be."""

    verb: str
    before: Json | None
    after: Json

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.after["kind"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.after["metadata"]["name"])


def plan(server: ArgoServer, documents: list[Json]) -> list[Change]:
    """What an installation would change, templates first; every change is known to be allowed.

    Raises:
        ClusterError: the server refuses an object, the CRDs or the namespace are missing, the token may not do it.
    """
    found: list[Change] = []
    moving: set[str] = set()
    for document in sorted((each for each in documents if each["kind"] in KINDS), key=_templates_first):
        change = _change(server, document, moving)
        if change.verb != UNCHANGED:
            moving.add(change.name)
            _probe(server, change)
        found.append(change)
    bindings = [each for each in documents if each["kind"] == BINDING]
    return found + (list(_bindings(server, bindings)) if bindings else [])


def apply(server: ArgoServer, changes: list[Change]) -> Iterator[Change]:
    """Do it; each change after it was made. Raises ClusterError at the first that fails."""
    for change in changes:
        if change.verb == CREATED:
            server.create_template(change.after)
        elif change.verb == UPDATED:
            server.update_template(change.after)
        yield change


def _templates_first(document: Json) -> tuple[int, int]:
    """What others refer to goes before them."""
    return KINDS.index(document["kind"]), len(set(references(document)))


def references(value: Any) -> Iterator[str]:
    """The names of the WorkflowTemplates that an object refers to."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in _REFERENCES and isinstance(each, dict) and not each.get("clusterScope"):
                yield str(each.get("name"))
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def _change(server: ArgoServer, document: Json, moving: set[str]) -> Change:
    kind, name = document["kind"], document["metadata"]["name"]
    try:
        live: Json | None = server.template(kind, name)
    except NotThereError:
        live = None
    kept = document if moving & set(references(document)) else _linted(server, document)
    if live is None:
        return Change(CREATED, None, kept)
    wanted = _merged(live, kept)
    same = essence(wanted) == essence(live)
    return Change(UNCHANGED if same else UPDATED, live, wanted)


def _linted(server: ArgoServer, document: Json) -> Json:
    """The object as the server would keep it; its labels are the server's business when it is made."""
    try:
        answer = server.lint_template(document)
    except (NoNamespaceError, ForbiddenError):
        raise
    except ClusterError as error:
        msg = f"{document['kind']} {document['metadata']['name']!r}: {error}"
        raise ClusterError(msg) from None
    return {**document, "spec": answer["spec"]}


def _merged(live: Json, document: Json) -> Json:
    """The installed object with our spec, labels and annotations; what the server or a person put beside them stays."""
    had, ours = live["metadata"], document["metadata"]
    metadata = {key: value for key, value in had.items() if key != "managedFields"}
    for part in ("labels", "annotations"):
        own = {key: value for key, value in (had.get(part) or {}).items() if key.startswith(_SERVERS_OWN)}
        if merged := {**own, **(ours.get(part) or {})}:
            metadata[part] = merged
        else:
            metadata.pop(part, None)
    spec = dict(document["spec"])
    if document["kind"] == "CronWorkflow" and "suspend" in live["spec"]:
        spec["suspend"] = live["spec"]["suspend"]  # whoever suspended or resumed it there decides when it goes on
    return {**live, "apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": metadata, "spec": spec}


def essence(document: Json) -> Json:
    """What two versions of an object are compared by."""
    metadata = document["metadata"]
    return {"spec": document["spec"], **{part: metadata.get(part) or {} for part in ("labels", "annotations")}}


_OURS = re.compile(rf"(?:[^\s@]+/)?(?P<name>{IMAGE_PREFIX}/[a-z0-9-]+):[\w.-]+")


def bare(value: Any) -> Any:
    """A copy without what `settle` may change: our images are only their names."""
    if isinstance(value, dict):
        return {key: _bare_image(each) if key == "image" else bare(each) for key, each in value.items()}
    return [bare(each) for each in value] if isinstance(value, list) else value


def _bare_image(image: Any) -> Any:
    found = _OURS.fullmatch(image) if isinstance(image, str) else None
    return found["name"] if found else image


def same_but_place(server: ArgoServer, live: Json, document: Json) -> bool:
    """Whether an installed object is `document` but for namespace, registry and tag. Raises ClusterError."""
    here = _linted(server, {**document, "metadata": {**document["metadata"], "namespace": server.namespace}})
    return bool(bare(essence(_merged(live, here))) == bare(essence(live)))


def _probe(server: ArgoServer, change: Change) -> None:
    """Ask for the change in a form that the cluster refuses as the last thing, after permission and namespace.

    Raises:
        ClusterError: it would not be allowed.
    """
    metadata = {**change.after["metadata"], "resourceVersion": _NEVER}
    document = {**change.after, "metadata": metadata}
    try:
        (server.create_template if change.verb == CREATED else server.update_template)(document)
    except ConflictError:
        return
    except ClusterError as error:
        if "resourceVersion" in str(error) or "resource version" in str(error).lower():
            return
        raise


def _bindings(server: ArgoServer, documents: list[Json]) -> Iterator[Change]:
    there = {each["metadata"]["name"]: each for each in server.bindings()}
    for document in documents:
        live = there.get(document["metadata"]["name"])
        same = live is not None and live.get("spec") == document.get("spec")
        yield Change(UNCHANGED if same else BY_HAND, live, document)
