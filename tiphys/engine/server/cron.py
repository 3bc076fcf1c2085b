"""Cron workflows beyond what all objects have: suspend and resume, and how they are checked."""

from __future__ import annotations

from starlette.responses import Response

from tiphys.engine.engine import Engine
from tiphys.engine.lint import problems
from tiphys.engine.server.call import Call, Json, answer
from tiphys.engine.server.objects import Kind
from tiphys.engine.server.refusals import not_found
from tiphys.engine.server.submission import PLURALS, find_object

CRON = "CronWorkflow"


def cron_problems(engine: Engine, document: Json) -> list[str]:
    """What is wrong with a CronWorkflow."""
    return problems(document, engine.objects.get, engine.images)


KIND = Kind(CRON, "cronWorkflow", cron_problems)


async def suspend(call: Call) -> Response:
    """`PUT /api/v1/cron-workflows/{namespace}/{name}/suspend`."""
    return await _set(call, suspended=True)


async def resume(call: Call) -> Response:
    """`PUT /api/v1/cron-workflows/{namespace}/{name}/resume`."""
    return await _set(call, suspended=False)


async def _set(call: Call, *, suspended: bool) -> Response:
    def change(document: Json) -> Json:
        return {**document, "spec": {**document["spec"], "suspend": suspended}}

    def work(engine: Engine) -> Json:
        find_object(engine, CRON, call.name, call.namespace)
        found = engine.objects.update(CRON, call.name, change)
        if found is None:
            raise not_found(PLURALS[CRON], call.name)
        return found

    return answer(await call.desk.write(work))
