"""The work of ``rollback``: releases like any other, of what served before, or of a canary without traffic."""

from __future__ import annotations

import logging

from components.rollback.contract import Inputs, Outputs
from tiphys.errors import GateError
from tiphys.release import aliases
from tiphys.release.client import LedgerClient
from tiphys.release.rollback import Asked, MovedOnError, roll_back, withdraw
from tiphys.settings import LedgerSettings, TrackingSettings, load
from tiphys.step import Context

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Go back, and return when that serves; a refused canary ends the step as Failed, with the reasons.

    Raises:
        GateError: the candidate was refused.
        PermanentError: production served nothing before, or somebody released in between.
        RetryableError: the ledger is away, or the earlier model does not serve in time.
    """
    ledger = LedgerClient(load(LedgerSettings))
    asked = Asked(inputs.asked_by or "rollback", context.run, inputs.reasons, once=bool(context.run))
    if inputs.environment == "canary":
        withdrawn = withdraw(ledger, inputs.use_case, asked)
        context.publish(Outputs(generation=withdrawn.generation if withdrawn else 0, serving=_serving(ledger, inputs)))
        message = f"the candidate of {inputs.use_case} is refused and out of traffic: {inputs.reasons}"
        raise GateError(message)
    try:
        back = roll_back(ledger, "production", inputs.use_case, asked, leaving=inputs.leaving)
    except MovedOnError as error:
        log.info("%s", error)
        newest = ledger.current("production").releases[inputs.use_case]
        return Outputs(generation=newest.generation, serving=_serving(ledger, inputs))
    withdraw(ledger, inputs.use_case, asked)
    observed = ledger.wait_until_served(back.recorded, inputs.wait_s)
    log.info("production is back from %s at %s", back.left.model_version, back.recorded.model_version)
    if warning := aliases.follow(back.recorded, load(TrackingSettings)):
        log.warning("%s", warning)
    return Outputs(generation=back.recorded.generation, serving=f"{observed.model} version {observed.version}")


def _serving(ledger: LedgerClient, inputs: Inputs) -> str:
    """What production goes on answering with."""
    production = ledger.current("production")
    release = production.releases.get(inputs.use_case)
    observed = None if release is None else production.observed.get(release.model)
    return "" if observed is None or not observed.version else f"{observed.model} version {observed.version}"
