"""What is kept beside runs, by kind: WorkflowTemplates, ClusterWorkflowTemplates and CronWorkflows are made, changed and listed alike."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response

from tiphys.engine.engine import Engine
from tiphys.engine.lint import problems
from tiphys.engine.server.bodies import part
from tiphys.engine.server.call import Call, Handler, Json, answer
from tiphys.engine.server.naming import check_name, named, placed
from tiphys.engine.server.query import Query
from tiphys.engine.server.refusals import Code, Refusal, invalid, not_found
from tiphys.engine.server.selectors import all_hold, parse_labels
from tiphys.engine.server.submission import PLURALS, find_object, in_namespace

Lint = Callable[[Engine, Json], list[str]]


def template_problems(engine: Engine, document: Json) -> list[str]:
    """What is wrong with a template."""
    return problems(document, engine.objects.get, engine.images)


@dataclass(frozen=True)
class Kind:
    """One kind: its name, the field of a request's body that holds it, and what finds its faults."""

    name: str
    field: str
    lint: Lint = template_problems

    @property
    def plural(self) -> str:
        """As in Kubernetes' messages."""
        return PLURALS[self.name]

    def given(self, call: Call) -> Json:
        """The object in a request's body. Raises Refusal."""
        if not call.body.get(self.field):
            raise invalid(f"{self.name} was not found in the request body: send it as {self.field!r}")
        namespace = "" if self.name == "ClusterWorkflowTemplate" else call.namespace
        return placed(self.name, part(call.body, self.field), namespace)

    def check(self, engine: Engine, document: Json) -> None:
        """Raises Refusal that names all that is wrong."""
        if found := self.lint(engine, copy.deepcopy(document)):
            raise invalid("; ".join(found))

    def handlers(self) -> dict[str, Handler]:
        """The handlers by what they do."""
        return {
            "list": self._list, "create": self._create, "lint": self._lint, "get": self._get,
            "update": self._update, "delete": self._delete,
        }  # fmt: skip

    async def _list(self, call: Call) -> Response:
        choose = chosen(self.name, call.query, call.namespace)
        return answer(await call.desk.read(lambda engine: listed(engine, self.name, choose, call.query)))

    async def _get(self, call: Call) -> Response:
        return answer(await call.desk.read(lambda engine: find_object(engine, self.name, call.name, call.namespace)))

    async def _lint(self, call: Call) -> Response:
        document = self.given(call)

        def check(engine: Engine) -> Json:
            named(document)
            self.check(engine, document)
            return document

        return answer(await call.desk.check(check))

    async def _create(self, call: Call) -> Response:
        document = self.given(call)
        if document["metadata"].get("resourceVersion"):
            raise invalid("resourceVersion should not be set on objects to be created")
        name = named(document)
        dry = bool(part(call.body, "createOptions").get("dryRun"))

        def create(engine: Engine) -> Json:
            self.check(engine, document)
            with call.desk.objects_lock:
                if (there := engine.objects.get(self.name, name)) is not None:
                    where = (there.get("metadata") or {}).get("namespace") or engine.namespace
                    message = f'{self.plural}.argoproj.io "{name}" already exists (in namespace {where}: names are shared here)'
                    raise Refusal(Code.ALREADY_EXISTS, message)
                return document if dry else engine.objects.apply(document)

        return answer(await (call.desk.check(create) if dry else call.desk.write(create)))

    async def _update(self, call: Call) -> Response:
        document = self.given(call)
        name = document["metadata"].setdefault("name", call.name)
        if not isinstance(name, str) or name != (call.name or name):
            raise invalid(f"metadata.name {str(name)[:80]!r} is another than {call.name!r} in the path")
        check_name(name)

        def update(engine: Engine) -> Json:
            find_object(engine, self.name, name, call.namespace)
            self.check(engine, document)
            found = engine.objects.update(self.name, name, lambda old: _replaced(old, document, self.plural))
            if found is None:
                raise not_found(self.plural, name)
            return found

        return answer(await call.desk.write(update))

    async def _delete(self, call: Call) -> Response:
        dry = bool(call.query.text("deleteOptions.dryRun"))

        def delete(engine: Engine) -> Json:
            find_object(engine, self.name, call.name, call.namespace)
            if not dry and not engine.objects.delete(self.name, call.name):
                raise not_found(self.plural, call.name)
            return {}

        return answer(await call.desk.write(delete))


def _replaced(old: Json, document: Json, plural: str) -> Json:
    """The new object in the place of the old one. Raises Refusal if the client's is not the latest."""
    version, latest = document["metadata"].get("resourceVersion"), old["metadata"].get("resourceVersion")
    if version and version != latest:
        message = (
            f'Operation cannot be fulfilled on {plural}.argoproj.io "{document["metadata"]["name"]}": the object has been '
            "modified; please apply your changes to the latest version and try again"
        )
        raise Refusal(Code.ALREADY_EXISTS, message)
    return {**document, "status": old["status"]} if "status" in old else document


def chosen(kind: str, query: Query, namespace: str) -> Callable[[Engine, Json], bool]:
    """Which objects a list is about. Raises Refusal."""
    labels, pattern = parse_labels(query.text("listOptions.labelSelector")), query.text("namePattern")
    clauses = [clause.partition("=") for clause in query.text("listOptions.fieldSelector").split(",") if clause]
    for path, sign, value in clauses:
        if path not in ("metadata.name", "metadata.namespace") or not sign:
            raise invalid(f"unsupported requirement {path[:80]}: write metadata.name=NAME or metadata.namespace=NAME")
        check_name(value.removeprefix("="))
    wanted = {path: value.removeprefix("=") for path, _, value in clauses}

    def holds(engine: Engine, document: Json) -> bool:
        metadata = document.get("metadata") or {}
        return (
            in_namespace(engine, document, kind, namespace)
            and in_namespace(engine, document, kind, wanted.get("metadata.namespace", ""))
            and wanted.get("metadata.name", metadata.get("name")) == metadata.get("name")
            and pattern in (metadata.get("name") or "")
            and all_hold(labels, metadata.get("labels") or {})
        )

    return holds


def listed(engine: Engine, kind: str, choose: Callable[[Engine, Json], bool], query: Query) -> Json:
    """A page of the objects of a kind, by name. Raises Refusal."""
    limit, start = query.number("listOptions.limit") or 0, query.number("listOptions.continue") or 0
    found = [document for document in engine.objects.every(kind) if choose(engine, document)]
    items = found[start : start + limit] if limit else found[start:]
    metadata: Json = {"resourceVersion": str(engine.objects.version())}
    if start + len(items) < len(found):
        metadata |= {"continue": str(start + len(items)), "remainingItemCount": len(found) - start - len(items)}
    return {"metadata": metadata, "items": items}
