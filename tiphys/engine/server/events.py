"""Events come in here, and the bindings that say what they start are listed."""

from __future__ import annotations

from starlette.responses import Response

from tiphys.engine import events
from tiphys.engine.engine import Engine
from tiphys.engine.server.bodies import parse, read_bytes
from tiphys.engine.server.call import Call, Json, answer
from tiphys.engine.server.objects import chosen, listed

BINDING = "WorkflowEventBinding"
LARGEST = 1 << 20
"""Bytes of a payload."""


async def receive(call: Call) -> Response:
    """`POST /api/v1/events/{namespace}/{discriminator}`: written down before it is answered."""
    payload = parse(await read_bytes(call.request, LARGEST))
    metadata, identity = events.from_headers(call.request.headers.items())
    discriminator = call.path.get("discriminator", "")

    def accept(engine: Engine) -> Json:
        namespace = call.namespace or engine.namespace
        events.accept(engine, namespace, discriminator, payload, metadata, identity)
        return {}

    return answer(await call.desk.write(accept))


async def bindings(call: Call) -> Response:
    """`GET /api/v1/workflow-event-bindings/{namespace}`."""
    choose = chosen(BINDING, call.query, call.namespace)
    return answer(await call.desk.read(lambda engine: listed(engine, BINDING, choose, call.query)))
