"""The agent's health and metrics page, on a thread of its own. It only reads the agent's state."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.serving.agent import State

_STALE_SECONDS = 180.0
"""A main loop that did not come round for so long hangs (a load may take two minutes)."""


def serve_health(state: State, environment: str, bind: str, port: int) -> ThreadingHTTPServer:
    """Serve ``GET /healthz`` and ``GET /metrics`` from now on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/healthz":
                stale = time.monotonic() - state.ticked > _STALE_SECONDS
                self._answer(503 if stale else 200, "application/json", _health(state, environment))
            elif self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4", _metrics(state, environment))
            else:
                self._answer(404, "application/json", '{"error": {"code": "not_found", "message": "no such page"}}')

        def _answer(self, status: int, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Health checks are no news."""

    server = ThreadingHTTPServer((bind, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def _health(state: State, environment: str) -> str:
    found = {
        "environment": environment,
        "ledger": "up" if state.ledger_up else "away",
        "triton": "up" if state.triton_up else "away",
        "models": {model: each.model_dump(mode="json") for model, each in state.observed.items()},
    }
    return json.dumps(found)


def _metrics(state: State, environment: str) -> str:
    where = f'environment="{environment}"'
    lines = [
        f"tiphys_agent_ledger_up{{{where}}} {int(state.ledger_up)}",
        f"tiphys_agent_triton_up{{{where}}} {int(state.triton_up)}",
        f"tiphys_agent_loads_total{{{where}}} {state.loads}",
        f"tiphys_agent_refusals_total{{{where}}} {state.refusals}",
    ]
    for model, each in state.observed.items():
        lines.append(f'tiphys_agent_generation{{{where},model="{model}",state="{each.state}"}} {each.generation}')
    return "\n".join(lines) + "\n"
