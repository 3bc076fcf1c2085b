"""What Argo has and this engine has not: sensors and event sources, and limits in a database. Lists are empty, the rest says so."""

from __future__ import annotations

from starlette.responses import Response

from tiphys.engine.server.call import Call, answer
from tiphys.engine.server.refusals import Code, Refusal, not_found
from tiphys.engine.server.streams import Stream, begun, silence

_EVENTS = (
    "events come in at POST /api/v1/events/{namespace}/{discriminator}, a WorkflowEventBinding says what they start"
)
_SYNC = "write the limit of a semaphore into a ConfigMap, and name it in the manifest with configMapKeyRef"


async def nothing(_call: Call) -> Response:
    """A list of what there is none of."""
    return answer({"metadata": {"resourceVersion": "0"}, "items": []})


async def no_sensor(call: Call) -> Response:
    """There is no sensor of any name."""
    raise not_found("sensors", call.name)


async def no_event_source(call: Call) -> Response:
    """There is no event source of any name."""
    raise not_found("eventsources", call.name)


async def no_events(_call: Call) -> Response:
    """Sensors and event sources can't be made."""
    raise Refusal(Code.UNIMPLEMENTED, f"sensors and event sources of Argo Events are not kept here: {_EVENTS}")


async def no_sync(_call: Call) -> Response:
    """Limits can't be set by a request."""
    raise Refusal(Code.UNIMPLEMENTED, f"limits of locks are not kept in a database here: {_SYNC}")


async def silent(call: Call) -> Response:
    """A stream of what there is none of: it stays open."""
    return Stream(call.request, await begun(silence()))
