"""The first question to a model that has just been released: its Triton and the gateway have to answer with it."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable

from tiphys.errors import GateError
from tiphys.release.records import Recorded
from tiphys.serving.gateway_client import GatewayClient, Reply
from tiphys.serving.repository import TRITON_TYPES
from tiphys.serving.triton import TritonControl
from tiphys.usecase import UseCase

_OK = 200
_SECONDS = 20.0
"""Longest wait until the gateway has heard of the release from the agent."""

log = logging.getLogger(__name__)


def ask(recorded: Recorded, triton: str, gateway: GatewayClient) -> None:
    """Ask production one of the use case's own questions, at its Triton (``HOST:PORT``) and through the gateway.

    Raises:
        GateError: the answer is none, no number, or somebody else's.
        RetryableError: Triton or the gateway is away.
    """
    use_case = UseCase(recorded.use_case)
    api, question = use_case.api, use_case.api.examples[0]
    row = api.to_features(api.request.model_validate_json(json.dumps(question)))
    inputs = {each.name: (TRITON_TYPES[each.dtype], row[each.name]) for each in use_case.features}
    answer, version = TritonControl(triton).ask(use_case.name, inputs, recorded.number)
    if version != recorded.number or not math.isfinite(answer):
        message = f"production's Triton says {answer:g} with version {version}, asked for {recorded.number}: see its agent's log"
        raise GateError(message)
    path = f"/v1/{api.route}"
    reply = ask_gateway(lambda rider: gateway.ask(path, question, headers={"X-Rider-Id": rider}), recorded)
    log.info("asked %s: Triton says %.6g, the gateway %s", dict(question), answer, reply.body)


def ask_gateway(
    ask_as: Callable[[str], Reply],
    recorded: Recorded,
    *,
    seconds: float = _SECONDS,
    pause: float = 0.3,
) -> Reply:
    """Ask until production's arm answers with the version that was released, each time as another rider.

    The gateway follows the agents: for a moment the version before answers. A rider of the canary's share stays there.

    Raises:
        GateError: after ``seconds``, somebody else still answers, or nobody.
        RetryableError: the gateway is away.
    """
    deadline = time.monotonic() + seconds
    number = 0
    while True:
        number += 1
        reply = ask_as(f"first-question-{recorded.generation}-{number}")
        arm, version = (reply.headers.get(f"x-tiphys-{name}", "") for name in ("arm", "version"))
        if (reply.status, arm, version) == (_OK, "production", recorded.number):
            return reply
        if time.monotonic() >= deadline:
            message = f"the gateway does not answer with {recorded.model_version} from production after {seconds:g} s"
            raise GateError(f"{message}: {_whose(reply, arm, version)}; see the log of gateway and agent")
        time.sleep(pause)


def _whose(reply: Reply, arm: str, version: str) -> str:
    if reply.status != _OK:
        return f"{reply.status} {reply.error}"
    if not arm:
        return "it does not say who answered"
    return f"it answers from {arm}" + (f" with version {version}" if version else "")
