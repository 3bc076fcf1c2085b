"""The server's OpenAPI document, made from the table of routes: it can't say what the server does not do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tiphys.engine.server.call import Operation
from tiphys.engine.server.info import ARGO
from tiphys.engine.server.rendering import encode
from tiphys.engine.server.schemas import ref, schemas

Json = dict[str, Any]
_PLACE = re.compile(r"\{(\w+)(?::\w+)?\}")
_NAMED: Json = {"type": "string", "minLength": 1, "maxLength": 63, "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
_FREE: Json = {"type": "string", "minLength": 1, "pattern": r"^[A-Za-z0-9][-_.A-Za-z0-9]*$"}
_WHOLE: Json = {"type": "integer", "format": "int64", "minimum": 0}
_FLAG: Json = {"type": "boolean"}
_MOMENT: Json = {"type": "string", "format": "date-time"}
_PARTS: dict[str, Json] = {
    "namespace": _NAMED, "name": _NAMED, "idDiscriminator": {"type": "string", "enum": ["workflows", "archived-workflows"]},
    "artifactDiscriminator": {"type": "string", "enum": ["inputs", "outputs"]},
}  # fmt: skip
_QUERY: dict[str, Json] = {
    **dict.fromkeys(("listOptions.limit", "listOptions.continue", "listOptions.timeoutSeconds"), _WHOLE),
    **dict.fromkeys(("logOptions.sinceSeconds", "logOptions.sinceTime.seconds", "logOptions.sinceTime.nanos"), _WHOLE),
    **dict.fromkeys(("logOptions.tailLines", "logOptions.limitBytes"), _WHOLE),
    **dict.fromkeys(("logOptions.follow", "logOptions.previous", "logOptions.timestamps", "force"), _FLAG),
    **dict.fromkeys(("listOptions.watch", "listOptions.allowWatchBookmarks", "listOptions.sendInitialEvents"), _FLAG),
    **dict.fromkeys(("createdAfter", "finishedBefore"), _MOMENT),
    "nameFilter": {"type": "string", "enum": ["Exact", "Contains", "Prefix", "NotEquals"]},
}
_COMMON = (400, 401, 403, 404, 408, 409, 413, 429, 500, 503)


def document(paths: Iterable[Mapping[str, Operation]]) -> bytes:
    """The document as JSON."""
    found: Json = {}
    for operations in paths:
        path = _PLACE.sub(r"{\1}", next(iter(operations.values())).path)
        found[path] = {method.lower(): _operation(operation) for method, operation in operations.items()}
    return encode({
        "openapi": "3.1.0",
        "info": {"title": "Tiphys", "version": ARGO, "description": f"Argo Workflows' REST API ({ARGO}) on this machine."},
        "security": [{"bearer": []}],
        "paths": found,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    })  # fmt: skip


def _operation(operation: Operation) -> Json:
    found: Json = {
        "operationId": operation.name,
        "tags": [operation.name.partition("_")[0]],
        "parameters": [*_path(operation), *_query(operation)],
        "responses": {"200": _given(operation), **{str(status): _error() for status in (*_COMMON, *operation.refuses)}},
    }
    if operation.gives == "Bytes":
        found["responses"]["307"] = {"description": "A folder: its address ends with a slash."}
    if operation.takes:
        found["requestBody"] = {"required": True, "content": _json(operation.takes)}
    return found


def _path(operation: Operation) -> list[Json]:
    names = _PLACE.findall(operation.path)
    return [{"name": name, "in": "path", "required": True, "schema": _PARTS.get(name, _FREE)} for name in names]


def _query(operation: Operation) -> list[Json]:
    return [{"name": name, "in": "query", "schema": _QUERY.get(name, {"type": "string"})} for name in operation.query]


def _given(operation: Operation) -> Json:
    if operation.gives == "Bytes":
        return {"description": "The artifact.", "content": {"*/*": {"schema": {}}}}
    if operation.stream:
        line = {"schema": {"type": "string", "description": f'A line each: {{"result": {operation.gives}}}'}}
        return {
            "description": f"A stream of {operation.gives}.",
            "content": {"application/json": {"schema": {}}, "text/event-stream": line},
        }
    return {"description": operation.gives, "content": _json(operation.gives)}


def _error() -> Json:
    return {"description": "No.", "content": _json("Error")}


def _json(schema: str) -> Json:
    return {"application/json": {"schema": ref(schema)}}
