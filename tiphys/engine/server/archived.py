"""Archived runs: here a run that has ended stays where it is, so the archive shows just those, by uid."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from tiphys.engine import control
from tiphys.engine.engine import Engine
from tiphys.engine.journal import Summary
from tiphys.engine.server.actions import act, resubmitting, retrying
from tiphys.engine.server.call import Call, Json, answer, raw
from tiphys.engine.server.listing import parse_choice
from tiphys.engine.server.lookup import find_by_uid
from tiphys.engine.server.naming import check_namespace
from tiphys.engine.server.rendering import labels_of
from tiphys.engine.server.selectors import parse_labels
from tiphys.engine.server.workflows import ALL, listed


async def list_all(call: Call) -> Response:
    """`GET /api/v1/archived-workflows`."""
    namespace = _namespace(call)
    return raw(await call.desk.read(lambda engine: listed(engine, call, finished=True, namespace=namespace)))


async def get(call: Call) -> Response:
    """`GET /api/v1/archived-workflows/{uid}`."""
    found, rendered = _found(call), call.desk.rendered
    return raw(await call.desk.read(lambda engine: rendered.of(engine, found(engine), ALL)))


async def delete(call: Call) -> Response:
    """`DELETE /api/v1/archived-workflows/{uid}`: the run itself goes."""
    found = _found(call)

    def work(engine: Engine) -> Json:
        control.delete(engine, found(engine).name)
        return {}

    return answer(await call.desk.write(work))


async def retry(call: Call) -> Response:
    """`PUT /api/v1/archived-workflows/{uid}/retry`."""
    return await act(call, _found(call), retrying(call.body))


async def resubmit(call: Call) -> Response:
    """`PUT /api/v1/archived-workflows/{uid}/resubmit`."""
    return await act(call, _found(call), resubmitting(call.body))


async def label_keys(call: Call) -> Response:
    """`GET /api/v1/archived-workflows-label-keys`."""
    namespace = _namespace(call)
    labels = await call.desk.read(lambda engine: _labels(call, engine, namespace))
    return answer({"items": sorted({key for each in labels for key in each})})


async def label_values(call: Call) -> Response:
    """`GET /api/v1/archived-workflows-label-values`: those of the label that the label selector names."""
    namespace = _namespace(call)
    keys = {requirement.key for requirement in parse_labels(call.query.text("listOptions.labelSelector"))}
    labels = await call.desk.read(lambda engine: _labels(call, engine, namespace))
    return answer({"items": sorted({value for each in labels for key, value in each.items() if key in keys})})


def _labels(call: Call, engine: Engine, namespace: str) -> list[dict[str, str]]:
    runs = call.desk.catalog.runs(engine.journal)[1]
    return [labels_of(each) for each in runs if each.finished and namespace in ("", each.namespace)]


def _found(call: Call) -> Callable[[Engine], Summary]:
    return lambda engine: find_by_uid(call.desk.catalog, engine, call.path["uid"], finished=True)


def _namespace(call: Call) -> str:
    namespace = call.query.text("namespace")
    check_namespace(namespace)
    parse_choice(call.query, namespace)
    return namespace
