"""The work of ``claim_training``: one question to the governor."""

from __future__ import annotations

import logging

from components.claim_training.contract import Inputs, Outputs
from tiphys.settings import GovernorSettings, load
from tiphys.step import Context
from tiphys.watch import governor_client

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Claim the training that has this run's name; the same run may ask again.

    Raises:
        PermanentError: no yes of the governor means this run.
        RetryableError: the governor does not answer.
    """
    event, why = governor_client.claim(load(GovernorSettings), context.run, inputs.model_dump())
    log.info("the governor's yes to %s started this run: %s", event, why)
    return Outputs(event=event, why=why)
