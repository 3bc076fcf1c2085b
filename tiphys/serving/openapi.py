"""The gateway's description of itself: an OpenAPI document, and a page that shows it without fetching anything."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter

from tiphys import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tiphys.usecase import Api

ERRORS: Mapping[int, str] = {
    400: "the body is no JSON",
    404: "there is no such route",
    405: "the route has another method",
    413: "the body is too large",
    415: "the body is not sent as application/json",
    422: "the question breaks its schema; the message names the field",
    503: "no model is being served, or too much is asked at once; Retry-After says when to ask again",
    504: "the model did not answer in time",
}

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def document(mounted: Iterable[tuple[str, str, str, Api]]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of routes: (path, environment, use case, api)."""
    schemas: dict[str, Any] = {"Error": _ERROR_SCHEMA}
    paths: dict[str, Any] = {}
    for path, environment, use_case, api in mounted:
        request = _schema(api.request, f"{use_case}.", schemas)
        answer = _schema(api.answer, f"{use_case}.", schemas)
        summary = (api.request.__doc__ or use_case).strip().splitlines()[0]
        paths[path] = {
            "post": {
                "summary": summary,
                "description": f"Answered by the model of use case `{use_case}` in {environment}.",
                "operationId": f"{use_case}-{environment}",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": request, "example": dict(api.examples[0])}},
                },
                "responses": {"200": _json("the answer", answer), **_errors()},
            }
        }
    info = {"title": "Tiphys gateway", "version": __version__, "description": "Models in production, and in staging."}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _schema(kind: type[BaseModel], prefix: str, schemas: dict[str, Any]) -> dict[str, str]:
    template = f"#/components/schemas/{prefix}{{model}}"
    found = TypeAdapter(kind).json_schema(ref_template=template)
    for name, each in found.pop("$defs", {}).items():
        schemas[prefix + name] = each
    schemas[prefix + kind.__name__] = found
    return {"$ref": template.format(model=kind.__name__)}


def _json(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors() -> dict[str, Any]:
    return {str(status): _json(text, {"$ref": "#/components/schemas/Error"}) for status, text in ERRORS.items()}


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #1b2733 }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f2f5f7; border-radius: 4px }
code { padding: 1px 4px } pre { padding: .8rem; overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde4ea; vertical-align: top }
h2 { margin-top: 2.5rem } .method { color: #fff; background: #0b6e4f; border-radius: 4px; padding: 1px 8px }
"""


def page(found: Mapping[str, Any], address: str) -> str:
    """Return the document as one HTML page, complete in itself; ``address`` is this server's HOST:PORT."""
    schemas = found["components"]["schemas"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(found['info']['title'])}</title><style>{_STYLE}</style>",
        f"<h1>{escape(found['info']['title'])}</h1><p>{escape(found['info']['description'])} ",
        'The same as a document: <a href="/openapi.json">/openapi.json</a>. Also here: <a href="/healthz">/healthz</a>, ',
        '<a href="/readyz">/readyz</a>, <a href="/metrics">/metrics</a>.</p>',
        *(_route(address + path, path, each["post"], schemas) for path, each in found["paths"].items()),
    ]
    return "".join(parts)


def _route(url: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    body = operation["requestBody"]["content"]["application/json"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    call = f"curl -s {url} -H 'Content-Type: application/json' -d '{json.dumps(body['example'])}'"
    errors = "".join(f"<tr><td>{status}<td>{escape(text)}" for status, text in ERRORS.items())
    return (
        f"<h2><span class=method>POST</span> <code>{escape(path)}</code></h2>"
        f"<p>{escape(operation['summary'])} {escape(operation['description'].replace('`', ''))}</p>"
        f"<h3>Question</h3>{_fields(body['schema'], schemas)}<pre>{escape(call)}</pre>"
        f"<h3>Answer</h3>{_fields(answer, schemas)}"
        f'<h3>Errors</h3><p>All look like <code>{{"error": {{"code": ..., "message": ...}}}}</code>.</p>'
        f"<table>{errors}</table>"
    )


def _fields(reference: Mapping[str, str], schemas: Mapping[str, Any]) -> str:
    schema = schemas[reference["$ref"].rsplit("/", 1)[1]]
    rows = []
    for name, each in schema.get("properties", {}).items():
        needed = "" if name in schema.get("required", ()) else " (optional)"
        kind = str(each.get("format", each.get("type", "object"))) + needed
        rows.append(f"<tr><td><code>{escape(name)}</code><td>{escape(kind)}<td>{escape(each.get('description', ''))}")
    return f"<table><tr><th>field<th>type<th>meaning{''.join(rows)}</table>"
