"""The gateway's description of itself: an OpenAPI document, and a page that shows it without fetching anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, TypeAdapter

from tiphys import __version__
from tiphys.serving.gateway.feedback import Outcome
from tiphys.serving.gateway.terms import MOST_QUESTIONS

if TYPE_CHECKING:
    from tiphys.usecase import Api

Kind = Literal["question", "batch", "feedback"]

ERRORS: Mapping[int, str] = {
    400: "the body is no JSON, or the request is no HTTP/1.1",
    401: "no API key, or one that is not known",
    403: "the key's role may not ask this route",
    404: "there is no such route",
    405: "the route has another method",
    408: "the request took too long to arrive",
    413: "the body is too large",
    415: "the body is not sent as application/json",
    422: "the question breaks its schema; the message names the field",
    429: "the key has asked too fast, or all that it may ask in a day; Retry-After says in how many seconds to ask again",
    503: "too much is asked at once, or nothing answers here; Retry-After says when to ask again",
    504: "no answer came in time, and there is no status quo to answer with",
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
_ACCEPTED = {"type": "object", "properties": {"accepted": {"type": "boolean", "description": "true"}}}
_TIMEOUT = {
    "name": "X-Timeout-Ms", "in": "header", "required": False, "schema": {"type": "integer", "minimum": 1},
    "description": "milliseconds after which an answer is worth nothing to you; may only shorten the gateway's own deadline",
}  # fmt: skip
_RIDER = {
    "name": "X-Rider-Id", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 200},
    "description": "who you ask for: the same id meets the same model while a candidate is on trial",
}  # fmt: skip
_HEADERS = {
    "x-tiphys-arm": {"description": "production, canary, staging or status_quo", "schema": {"type": "string"}},
    "x-tiphys-version": {"description": "version of the model that answered", "schema": {"type": "string"}},
    "x-tiphys-prediction": {"description": "names this answer, for feedback", "schema": {"type": "string"}},
}


@dataclass(frozen=True)
class Described:
    """One mounted path."""

    path: str
    kind: Kind
    environment: str
    use_case: str
    api: Api


def document(mounted: Iterable[Described]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these paths."""
    schemas: dict[str, Any] = {"Error": _ERROR_SCHEMA, "Accepted": _ACCEPTED}
    made = {"question": _question, "batch": _batch, "feedback": _feedback}
    paths = {each.path: {"post": made[each.kind](each, schemas)} for each in mounted}
    info = {
        "title": "Tiphys gateway",
        "version": __version__,
        "description": "Answers of the models in production; of staging and of the canary alone for those who test.",
    }
    security = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {
        "openapi": "3.1.0",
        "info": info,
        "security": [{"bearer": []}, {"header": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": security},
    }


def _question(each: Described, schemas: dict[str, Any]) -> dict[str, Any]:
    request = _schema(each.api.request, f"{each.use_case}.", schemas)
    answer = _schema(each.api.answer, f"{each.use_case}.", schemas)
    summary = (each.api.request.__doc__ or each.use_case).strip().splitlines()[0]
    return _operation(each, summary, _who(each), request, dict(each.api.examples[0]), answer)


def _batch(each: Described, schemas: dict[str, Any]) -> dict[str, Any]:
    request = _schema(each.api.request, f"{each.use_case}.", schemas)
    answer = _schema(each.api.answer, f"{each.use_case}.", schemas)
    name = f"{each.use_case}.{each.api.request.__name__}s"
    schemas[name] = _list_of("questions", request, f"1 to {MOST_QUESTIONS} questions")
    either = {"oneOf": [answer, {"$ref": "#/components/schemas/Error"}]}
    answers = f"{each.use_case}.{each.api.answer.__name__}s"
    schemas[answers] = _list_of(
        "answers", either, "an answer for each question, in their order; an error where none came"
    )
    example = {"questions": [dict(one) for one in each.api.examples[:2]]}
    text = f"{_who(each)} A question that breaks its schema refuses the whole batch and is named by its number."
    return _operation(each, "Many questions at once.", text, _reference(name), example, _reference(answers))


def _feedback(each: Described, schemas: dict[str, Any]) -> dict[str, Any]:
    request = _schema(Outcome, "", schemas)
    example = {"prediction_id": "0193a5b7c1d2700080009f3c6a7b8c9d", "actual": 1260.0, "facts": {"miles": 8.4}}
    text = (
        "Send the true value once you know it: the answer's header x-tiphys-prediction says which answer it belongs to. It is "
        "taken down as it came; whether it can be true, and in time, is judged where the log is read."
    )
    return _operation(each, "What really happened.", text, request, example, _reference("Accepted"), "202")


def _who(each: Described) -> str:
    if each.environment == "production":
        return (
            f"Answered by the model of use case `{each.use_case}` in production; if none answers in time, by the status quo, "
            "where the use case has one. The interval holds the truth four times in five."
        )
    return f"Answered by the model of use case `{each.use_case}` in {each.environment} alone. Needs a key of role tester or admin."


def _operation(  # noqa: PLR0913, PLR0917 - its parts
    each: Described, summary: str, text: str, request: Mapping[str, str], example: Any, answer: Mapping[str, str],
    status: str = "200",
) -> dict[str, Any]:  # fmt: skip
    done = _json("the answer" if status == "200" else "taken down", answer)
    if each.kind == "question":
        done["headers"] = _HEADERS
    return {
        "summary": summary,
        "description": text,
        "operationId": f"{each.use_case}-{each.environment}-{each.kind}",
        "parameters": [] if each.kind == "feedback" else [_TIMEOUT, _RIDER],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": request, "example": example}},
        },
        "responses": {status: done, **_errors()},
    }


def _list_of(field: str, item: Mapping[str, Any], description: str) -> dict[str, Any]:
    listed = {"type": "array", "items": item, "minItems": 1, "maxItems": MOST_QUESTIONS, "description": description}
    return {"type": "object", "required": [field], "additionalProperties": False, "properties": {field: listed}}


def _schema(kind: type[BaseModel], prefix: str, schemas: dict[str, Any]) -> dict[str, str]:
    template = f"#/components/schemas/{prefix}{{model}}"
    found = TypeAdapter(kind).json_schema(ref_template=template)
    for name, each in found.pop("$defs", {}).items():
        schemas[prefix + name] = each
    schemas[prefix + kind.__name__] = found
    return _reference(prefix + kind.__name__)


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors() -> dict[str, Any]:
    return {str(status): _json(text, _reference("Error")) for status, text in ERRORS.items()}


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #1b2733 }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f2f5f7; border-radius: 4px }
code { padding: 1px 4px; white-space: nowrap } pre { padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde4ea; vertical-align: top }
h2 { margin-top: 2.5rem } .method { color: #fff; background: #0b6e4f; border-radius: 4px; padding: 1px 8px }
summary { cursor: pointer; margin-top: 1rem }
"""

_KEYS = (
    "<h2>Who may ask</h2><p>Send your API key with every question: <code>Authorization: Bearer KEY</code>, or "
    "<code>X-API-Key: KEY</code>. On the laptop <code>eval &quot;$(tiphys env rider)&quot;</code> puts one into "
    "<code>$TIPHYS_GATEWAY_KEY</code>, where the examples below find it. A key may ask so fast, and some only so much a "
    "day; beyond that comes 429 with <code>Retry-After</code>. Each question of a batch counts.</p>"
)


def page(found: Mapping[str, Any], address: str) -> str:
    """Return the document as one HTML page, complete in itself; ``address`` is this server's HOST:PORT."""
    schemas = found["components"]["schemas"]
    errors = "".join(f"<tr><td>{status}<td>{escape(text)}" for status, text in ERRORS.items())
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(found['info']['title'])}</title><style>{_STYLE}</style>",
        f"<h1>{escape(found['info']['title'])}</h1><p>{escape(found['info']['description'])} ",
        'The same as a document: <a href="/openapi.json">/openapi.json</a>. Also here: <a href="/healthz">/healthz</a>, ',
        '<a href="/readyz">/readyz</a>.</p>',
        _KEYS,
        '<h2>Errors</h2><p>All look like <code>{"error": {"code": ..., "message": ...}}</code>.</p>',
        f"<table><tr><th>status<th>meaning{errors}</table>",
        *(_route(address + path, path, each["post"], schemas) for path, each in found["paths"].items()),
    ]
    return "".join(parts)


def _route(url: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    body = operation["requestBody"]["content"]["application/json"]
    (answer,) = (each for status, each in operation["responses"].items() if status.startswith("2"))
    call = (
        f"curl -s {url} -H &quot;Authorization: Bearer $TIPHYS_GATEWAY_KEY&quot; "
        f"-H 'Content-Type: application/json' -d '{escape(json.dumps(body['example']), quote=False)}'"
    )
    headers = "".join(
        f"<tr><td><code>{escape(each['name'])}</code><td>{escape(each['description'])}"
        for each in operation["parameters"]
    )
    return (
        f"<h2><span class=method>POST</span> <code>{escape(path)}</code></h2>"
        f"<p>{escape(operation['summary'])} {escape(operation['description'].replace('`', ''))}</p>"
        f"<h3>Question</h3>{_fields(body['schema'], schemas)}<pre>{call}</pre>"
        + (f"<h3>Optional headers</h3><table>{headers}</table>" if headers else "")
        + f"<h3>Answer</h3>{_fields(answer['content']['application/json']['schema'], schemas)}"
    )


def _fields(reference: Mapping[str, str], schemas: Mapping[str, Any]) -> str:
    schema = schemas[reference["$ref"].rsplit("/", 1)[1]]
    rows = []
    for name, each in schema.get("properties", {}).items():
        needed = (
            ""
            if name in schema.get("required", ()) or "answer" in str(schema.get("title", "")).lower()
            else " (optional)"
        )
        rows.append(
            f"<tr><td><code>{escape(name)}</code><td>{escape(_type(each) + needed)}<td>{escape(each.get('description', ''))}"
        )
    return f"<table><tr><th>field<th>type<th>meaning{''.join(rows)}</table>"


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    return str(schema.get("format", schema.get("type", "object")))
