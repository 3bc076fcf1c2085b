"""The work of ``request_training``: one signed request, and the wait for its decision."""

from __future__ import annotations

import logging
import time

from components.request_training.contract import Inputs, Outputs
from tiphys.settings import GovernorSettings, load
from tiphys.step import Context
from tiphys.watch import governor_client
from tiphys.watch.alerts import Request

log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0


def run(inputs: Inputs, context: Context) -> Outputs:
    """Ask, once for each run of the workflow, however often the step is tried.

    Raises:
        PermanentError: the governor refuses the request.
        RetryableError: it does not answer.
    """
    settings = load(GovernorSettings)
    request = Request(use_case=inputs.use_case, asked_by=f"run {context.run}", reason=inputs.reason)
    identity = governor_client.event_id("request-training", context.run, inputs.use_case)
    told = governor_client.send(settings, request, identity).event
    until = time.monotonic() + inputs.wait_s
    while told.verdict == "wait" and time.monotonic() < until:
        time.sleep(_LOOK_EVERY)
        told = governor_client.event(settings, identity)
    log.info("%s: %s", told.verdict, told.reason)
    return Outputs(event=told.id, verdict=told.verdict, why=told.reason, training=told.run)
