"""Does http and data templates in the engine's own process: what Argo gives to its agent and to a helper container."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from tiphys.engine.actions import StartPod
from tiphys.engine.artifacts import ArtifactStore
from tiphys.engine.errors import ExpressionError, TemplateError
from tiphys.engine.expressions import evaluate, evaluate_bool
from tiphys.engine.gotext import go_json
from tiphys.engine.http_client import RequestError, asked, pieces
from tiphys.engine.nodes import FAILED, SUCCEEDED
from tiphys.engine.objects import ObjectStore
from tiphys.engine.pod import Ending

if TYPE_CHECKING:
    from tiphys.engine.executor import Surroundings

Json = dict[str, Any]
LONGEST_BODY = 1 << 20  # bytes; a response that is longer fails the step
LONGEST_TIME = 600.0  # seconds, where the template has no timeoutSeconds
_OK = range(200, 300)


async def perform(start: StartPod, around: Surroundings) -> Ending:
    """Do the work of an http or data template; cancelling leaves its thread alone, which nobody waits for."""
    if start.template.get("data") is not None:
        return await _in_thread(lambda: list_artifacts(start.template["data"], around.store))
    request = start.template["http"]
    given = request.get("timeoutSeconds")
    limit = LONGEST_TIME if given is None else float(given)
    try:
        return await asyncio.wait_for(_in_thread(lambda: call(request, around.objects, limit)), limit)
    except TimeoutError:
        return Ending(FAILED, f"{_asked(request)}: context deadline exceeded", {})


def _in_thread(work: Callable[[], Ending]) -> asyncio.Future[Ending]:
    """The result of `work`, done by a thread that does not keep the engine from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Ending] = loop.create_future()

    def settle(method: Callable[[Any], None], value: object) -> None:
        if not future.done():
            method(value)

    def run() -> None:
        try:
            method, value = future.set_result, work()
        except Exception as problem:  # noqa: BLE001  # it is raised again where the future is awaited
            method, value = future.set_exception, problem  # type: ignore[assignment]
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, method, value)

    threading.Thread(target=run, daemon=True, name="http").start()
    return future


# --- http


def call(request: Json, objects: ObjectStore, limit: float) -> Ending:
    """Ask, and judge the answer by its status code or the successCondition."""
    try:
        status, headers, body = _exchange(request, objects, limit)
        text = body.decode("utf-8", "replace")
        phase, message = _judge(request, status, headers, text)
    except (RequestError, ExpressionError) as problem:
        return Ending(FAILED, str(problem), {})
    return Ending(phase, message, {"result": text})


def _judge(request: Json, status: int, headers: dict[str, list[str]], body: str) -> tuple[str, str]:
    condition = request.get("successCondition")
    if not condition:
        return (SUCCEEDED, "") if status in _OK else (FAILED, f"received non-2xx response code: {status}")
    plain = [entry for entry in request.get("headers") or [] if not entry.get("valueFrom")]
    scope = {
        "request": {
            "method": request.get("method") or "",
            "url": request["url"],
            "body": request.get("body") or "",
            "bodyBytes": None if _bytes(request) is None else list(_bytes(request) or b""),
            "headers": {entry["name"]: [entry.get("value") or ""] for entry in plain},
        },
        "response": {"statusCode": status, "body": body, "headers": headers},
    }
    if evaluate_bool(condition, scope):
        return SUCCEEDED, ""
    return FAILED, f"successCondition '{condition}' evaluated false"


def _exchange(request: Json, objects: ObjectStore, limit: float) -> tuple[int, dict[str, list[str]], bytes]:
    """Status code, headers by canonical name, and body."""
    entries = request.get("headers") or []
    given = _bytes(request)
    headers = [(entry["name"], _header_value(entry, objects)) for entry in entries]
    try:
        with asked(
            request["url"],
            headers=headers,
            method=_method(request),
            body=given if given is not None else (request.get("body") or "").encode(),
            timeout=limit,
            private=[entry["name"] for entry in entries if entry.get("valueFrom")],
            skip_verify=bool(request.get("insecureSkipVerify")),
        ) as answer:
            taken = b"".join(islice(pieces(answer, LONGEST_BODY + 1), 2))
            answered = {name.title(): answer.headers.get_all(name) or [] for name in answer.headers}
            status = answer.status
    except RequestError as problem:
        raise RequestError(f"{_asked(request)}: {problem}") from None
    if len(taken) > LONGEST_BODY:
        msg = f"{_asked(request)}: the response is longer than {LONGEST_BODY} bytes: fetch it in a script instead"
        raise RequestError(msg)
    return status, answered, taken


def _header_value(entry: Json, objects: ObjectStore) -> str:
    reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
    if reference is None:
        return str(entry.get("value") or "")
    data = objects.data("Secret", reference.get("name") or "")
    if data is None:
        msg = f'secrets "{reference.get("name")}" not found'
        raise RequestError(msg)
    if reference.get("key") not in data:
        msg = f"secret '{reference.get('name')}' does not have the key '{reference.get('key')}'"
        raise RequestError(msg)
    return data[reference["key"]]


def _bytes(request: Json) -> bytes | None:
    encoded = (request.get("bodyFrom") or {}).get("bytes")
    return None if encoded is None else base64.b64decode(encoded)


def _method(request: Json) -> str:
    return str(request.get("method") or "GET")


def _asked(request: Json) -> str:
    return f'{_method(request).capitalize()} "{request["url"]}"'


# --- data


def list_artifacts(data: Json, store: ArtifactStore) -> Ending:
    """The keys below the source's, through the chain of transformations; as JSON in outputs.result."""
    try:
        found = _transformed(_keys(data, store), data.get("transformation") or [])
        result = go_json(found)
    except (TemplateError, OSError, TypeError) as problem:
        message = f"main: Error (exit code 64): unable to process data template: {problem}"
        return Ending(FAILED, message, {"exitCode": "64"})
    return Ending(SUCCEEDED, "", {"exitCode": "0", "result": result})


def _keys(data: Json, store: ArtifactStore) -> list[str]:
    key = ((data["source"]["artifactPaths"].get("s3")) or {}).get("key") or ""
    return store.list(key)


def _transformed(value: Any, steps: list[Json]) -> Any:
    for index, step in enumerate(steps):
        if not step.get("expression"):
            continue
        try:
            value = evaluate(step["expression"], {"data": value})
        except ExpressionError as problem:
            msg = f"unable to process data transformation: error processing data step {index}: {problem}"
            raise TemplateError(msg) from None
    return value
