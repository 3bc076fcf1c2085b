"""The agent's port: its page for gateways, health and metrics, and the way back in an emergency.

============================================ ==============================================================
``GET /v1/serving?after=N&wait=S``           what serves; with both, waits for news
``GET /v1/files/MODEL/fallback.npz``         that file of the version that answers
``POST /v1/rollback``                        ``{"model", "reason", "asked_by", "leaving"?}``, its admin token
``GET /healthz``, ``GET /metrics``           for supervisors
============================================ ==============================================================

A thread for each request; the readers that wait are few, and bounded by the page. It only reads the agent's state.
"""

from __future__ import annotations

import hmac
import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from tiphys.errors import PermanentError, RetryableError
from tiphys.release.rollback import Asked
from tiphys.serving.emergency import RUN
from tiphys.serving.manifest import FALLBACK

if TYPE_CHECKING:
    from tiphys.serving.agent import Agent, State

BODY_CAP = 4096
"""Most bytes of a request's body."""
_STALE_SECONDS = 180.0
"""A main loop that did not come round for so long hangs (a load may take two minutes)."""


class _Rollback(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=200)]
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""
    asked_by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    leaving: int | None = None
    """Generation on the page that is to be gone back from; if another serves by now, nothing is done."""


class _Refused(Exception):  # noqa: N818 - an answer, no error
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    server_version = "tiphys-agent"
    sys_version = ""
    timeout = 30.0
    agent: Agent
    environment: str
    token: str

    def do_GET(self) -> None:
        self._routed(self._get)

    def do_POST(self) -> None:
        self._routed(self._post)

    def _routed(self, answer: Any) -> None:
        try:
            answer(urlsplit(self.path))
        except _Refused as refused:
            self._json(refused.status, {"error": {"code": refused.code, "message": str(refused)}})
        except ConnectionError:
            self.close_connection = True

    def _get(self, url: Any) -> None:
        if url.path == "/v1/serving":
            given = parse_qs(url.query)
            after = _number(given, "after")
            self._json(200, self.agent.page.read(None if after is None else int(after), _number(given, "wait") or 0.0))
        elif url.path.startswith("/v1/files/"):
            self._file(url.path.removeprefix("/v1/files/"))
        elif url.path == "/healthz":
            stale = time.monotonic() - self.agent.state.ticked > _STALE_SECONDS
            well = not stale and self.agent.follows() and self.agent.healing.works()
            self._json(200 if well else 503, _health(self.agent.state, self.environment, follows=self.agent.follows()))
        elif url.path == "/metrics":
            self._answer(200, "text/plain; version=0.0.4", _metrics(self.agent.state, self.environment).encode())
        else:
            raise _Refused(404, "not_found", "no such page")

    def _file(self, path: str) -> None:
        model, _, name = path.partition("/")
        served = self.agent.served(model)
        if name != FALLBACK or served is None:
            raise _Refused(404, "not_found", f"there is {FALLBACK} of models that serve, and no other file")
        try:
            opened = self.agent.file(served, FALLBACK).open("rb")
        except OSError:
            raise _Refused(404, "not_found", f"{served.release.model_version} has no {FALLBACK}") from None
        with opened:
            size = opened.seek(0, 2)
            opened.seek(0)
            self._head(200, "application/octet-stream", size)
            shutil.copyfileobj(opened, self.wfile)

    def _post(self, url: Any) -> None:
        if url.path != "/v1/rollback":
            raise _Refused(404, "not_found", "no such page")
        self._admit()
        wish = self._wish()
        try:
            told = self.agent.emergency.roll_back(wish.model, Asked(wish.asked_by, RUN, wish.reason), wish.leaving)
        except PermanentError as error:
            raise _Refused(409, "refused", str(error)) from None
        except (RetryableError, OSError) as error:
            raise _Refused(503, "unavailable", str(error)) from None
        self._json(200, told)

    def _admit(self) -> None:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        fits = hmac.compare_digest(given.strip().encode(), self.token.encode())
        if not self.token or scheme.lower() != "bearer" or not fits:
            message = f"send the token of this agent (TIPHYS_{self.environment.upper()}_AGENT_TOKEN): Authorization: Bearer TOKEN"
            raise _Refused(401, "unauthorized", message)

    def _wish(self) -> _Rollback:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _Refused(411, "length_required", "the body's Content-Length is missing")
        if int(length) > BODY_CAP:
            raise _Refused(413, "too_large", f"the body is larger than {BODY_CAP} bytes")
        try:
            return _Rollback.model_validate_json(self.rfile.read(int(length)))
        except ValidationError as error:
            listed = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors())
            raise _Refused(422, "invalid", listed) from None

    def _json(self, status: int, content: Any) -> None:
        self._answer(status, "application/json", json.dumps(content).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self._head(status, kind, len(body))
        self.wfile.write(body)

    def _head(self, status: int, kind: str, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Health checks are no news."""


def serve(agent: Agent, environment: str, token: str, address: tuple[str, int]) -> ThreadingHTTPServer:
    """Serve the agent's port from now on; without a token nobody can roll back."""
    handler = type("Handler", (_Handler,), {"agent": agent, "environment": environment, "token": token})
    server = ThreadingHTTPServer(address, handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def _number(given: dict[str, list[str]], name: str) -> float | None:
    text = given.get(name, [""])[0]
    if not text:
        return None
    try:
        return float(int(text))
    except ValueError:
        raise _Refused(422, "invalid", f"{name} must be a whole number, not {text[:20]!r}") from None


def _health(state: State, environment: str, *, follows: bool) -> dict[str, Any]:
    return {
        "environment": environment,
        "ledger": "not followed" if not follows else "up" if state.ledger_up else "away",
        "triton": "up" if state.triton_up else "away",
        "broken": state.broken,
        "models": {model: each.model_dump(mode="json") for model, each in state.observed.items()},
    }


def _metrics(state: State, environment: str) -> str:
    where = f'environment="{environment}"'
    lines = [
        f"tiphys_agent_ledger_up{{{where}}} {int(state.ledger_up)}",
        f"tiphys_agent_triton_up{{{where}}} {int(state.triton_up)}",
        f"tiphys_agent_loads_total{{{where}}} {state.loads}",
        f"tiphys_agent_refusals_total{{{where}}} {state.refusals}",
        f"tiphys_agent_rollbacks_total{{{where}}} {state.rollbacks}",
        f"tiphys_agent_heals_total{{{where}}} {state.heals}",
    ]
    lines += [f'tiphys_agent_broken{{{where},model="{model}"}} 1' for model in state.broken]
    for model, each in list(state.observed.items()):
        lines.append(f'tiphys_agent_generation{{{where},model="{model}",state="{each.state}"}} {each.generation}')
    return "\n".join(lines) + "\n"
