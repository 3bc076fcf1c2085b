"""Runs: create, submit from a template, get, list, lint, delete."""

from __future__ import annotations

import copy
from collections.abc import Callable

from starlette.responses import Response

from tiphys.engine import control
from tiphys.engine.engine import Engine, random_name
from tiphys.engine.errors import ManifestError, UnknownRunError
from tiphys.engine.fields import check_fields
from tiphys.engine.server.bodies import flag, part, text
from tiphys.engine.server.call import Call, Json, answer, raw
from tiphys.engine.server.fields import Fields
from tiphys.engine.server.listing import page, parse_choice
from tiphys.engine.server.lookup import WORKFLOWS, find_run
from tiphys.engine.server.naming import placed
from tiphys.engine.server.refusals import Code, Refusal, invalid, not_found
from tiphys.engine.server.rendering import NOT_SHOWN, Rendered, encode
from tiphys.engine.server.submission import from_resource
from tiphys.engine.shapes import check_run_name

ALL = Fields()


async def create(call: Call) -> Response:
    """`POST /api/v1/workflows/{namespace}`."""
    if not call.body.get("workflow"):
        raise invalid("workflow body not specified")
    workflow = _given(part(call.body, "workflow"), call.namespace)
    dry = bool(part(call.body, "createOptions").get("dryRun"))
    return await _submitted(call, lambda _engine: workflow, dry=dry, server_dry=flag(call.body, "serverDryRun"))


async def submit(call: Call) -> Response:
    """`POST /api/v1/workflows/{namespace}/submit`: run a WorkflowTemplate, ClusterWorkflowTemplate or CronWorkflow."""
    options = part(call.body, "submitOptions")
    kind, name = text(call.body, "resourceKind"), text(call.body, "resourceName")
    made = from_resource(kind, name, call.namespace, options)
    return await _submitted(call, made, dry=flag(options, "dryRun"), server_dry=flag(options, "serverDryRun"))


async def _submitted(call: Call, made: Callable[[Engine], Json], *, dry: bool, server_dry: bool) -> Response:
    if dry or server_dry:
        return answer(await call.desk.check(lambda engine: _tried(engine, made(engine), named=server_dry)))
    return raw(await call.desk.write(lambda engine: _run(engine, made(engine), call.desk.rendered)))


def _run(engine: Engine, workflow: Json, rendered: Rendered) -> bytes:
    """Write the run down; as it is then."""
    name = (workflow.get("metadata") or {}).get("name") or ""
    try:
        made = engine.submit([workflow])
    except ManifestError:
        if isinstance(name, str) and name and engine.journal.summary(name) is not None:
            raise Refusal(Code.ALREADY_EXISTS, f'workflows.argoproj.io "{name}" already exists') from None
        raise
    return shown(engine, made, rendered)


def shown(engine: Engine, name: str, rendered: Rendered, fields: Fields = ALL) -> bytes:
    """The run's JSON as it is now. Raises Refusal."""
    return rendered.of(engine, find_run(engine, "", name), fields)


def _tried(engine: Engine, workflow: Json, *, named: bool) -> Json:
    """The workflow as it would be taken; with a name if that was asked for. Raises ManifestError."""
    engine.check([copy.deepcopy(workflow)])
    metadata = workflow.setdefault("metadata", {})
    name = metadata.get("name") or random_name(metadata.get("generateName") or "workflow-")
    check_run_name(name)
    if named:
        metadata["name"] = name
    return workflow


def _given(workflow: Json, namespace: str) -> Json:
    """A Workflow that a client sent, as a manifest in that namespace. Raises Refusal."""
    if workflow.get("kind") not in (None, "", "Workflow"):
        raise invalid(f"kind: a Workflow is needed here, not {str(workflow['kind'])[:80]!r}")
    return placed("Workflow", workflow, namespace)


async def get(call: Call) -> Response:
    """`GET /api/v1/workflows/{namespace}/{name}`."""
    fields, uid = Fields.parse(call.query.text("fields")), call.query.text("uid")
    rendered = call.desk.rendered
    return raw(
        await call.desk.read(
            lambda engine: rendered.of(engine, find_run(engine, call.namespace, call.name, uid), fields)
        )
    )


async def list_all(call: Call) -> Response:
    """`GET /api/v1/workflows/{namespace}`."""
    return raw(await call.desk.read(lambda engine: listed(engine, call, finished=False)))


def listed(engine: Engine, call: Call, *, finished: bool, namespace: str = "") -> bytes:
    """A page of runs as JSON; `finished` only those that have ended. Raises Refusal."""
    choice = parse_choice(call.query, call.namespace or namespace)
    fields = Fields.parse(call.query.text("fields"))
    version, known = call.desk.catalog.runs(engine.journal)
    runs = (summary for summary in known if summary.finished or not finished)
    found = page(runs, choice, call.query)
    metadata: Json = {"resourceVersion": str(version)}
    if found.following:
        metadata["continue"] = found.following
    if choice.remaining:
        metadata["remainingItemCount"] = found.remaining
    items = []
    for summary in found.items:
        try:
            items.append(call.desk.rendered.of(engine, summary, fields, "items"))
        except NOT_SHOWN:
            continue
    head = fields.clean({"metadata": metadata})
    return b'{"metadata":' + encode(head.get("metadata", {})) + b',"items":[' + b",".join(items) + b"]}"


async def lint(call: Call) -> Response:
    """`POST /api/v1/workflows/{namespace}/lint`."""
    if not call.body.get("workflow"):
        raise invalid("unable to get a workflow")
    workflow = _given(part(call.body, "workflow"), call.namespace)

    def check(engine: Engine) -> Json:
        checked = copy.deepcopy(workflow)
        check_fields(checked)
        engine.check([checked])
        return workflow

    return answer(await call.desk.check(check))


async def delete(call: Call) -> Response:
    """`DELETE /api/v1/workflows/{namespace}/{name}`: one that goes on is ended first."""
    dry = call.query.text("deleteOptions.dryRun")
    uid = call.query.text("deleteOptions.preconditions.uid")

    def forget(engine: Engine) -> Json:
        found = find_run(engine, call.namespace, call.name)
        if uid and found.uid != uid:
            raise Refusal(Code.ALREADY_EXISTS, f"the run {found.name!r} has another uid than {uid[:80]!r}")
        if not dry:
            try:
                control.delete(engine, found.name)
            except UnknownRunError:
                raise not_found(WORKFLOWS, found.name) from None
        return {}

    return answer(await call.desk.write(forget))
