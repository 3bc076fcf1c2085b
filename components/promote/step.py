"""The work of ``promote``: what staging serves goes into production, unless staging has moved on since its tests."""

from __future__ import annotations

import logging

from components.promote.contract import Inputs, Outputs
from tiphys.release.client import LedgerClient
from tiphys.release.promotion import Promoter
from tiphys.release.records import Recorded
from tiphys.release.rollback import Asked
from tiphys.release.tested import tested
from tiphys.settings import LedgerSettings, PassportSettings, TrackingSettings, load
from tiphys.step import Context

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Release into production, and return when it answers with that version.

    Raises:
        GateError: staging serves something else than what was tested, evidence is missing or did not hold, or production
            does not answer as it should and was taken back.
        PermanentError: the agent refuses it, or somebody else released the same use case in between.
        RetryableError: a server is away, or the model does not serve in time.
    """
    ledger = LedgerClient(load(LedgerSettings))
    release = tested(ledger, inputs.use_case, inputs.staging_generation)
    reason = inputs.reasons or f"tested in staging as generation {release.generation}"
    promoter = Promoter(ledger, load(PassportSettings).key, _ask, tracking=load(TrackingSettings))
    done = promoter.promote(
        release,
        Asked(inputs.asked_by or "promote", context.run, reason, once=bool(context.run)),
        seconds=inputs.wait_s,
        canary=inputs.canary_verdict,
    )
    for warning in done.warnings:
        log.warning("%s", warning)
    log.info("production answers with version %s%s", done.observed.version, "" if done.changed else ", as before")
    return Outputs(
        generation=done.recorded.generation,
        serving=f"{done.observed.model} version {done.observed.version}",
        passport=done.passport,
        changed=done.changed,
    )


def _ask(recorded: Recorded) -> None:
    """Ask production one of the use case's own questions; what that takes is loaded only when something was promoted."""
    from tiphys.serving.first_question import ask  # noqa: PLC0415
    from tiphys.serving.gateway_client import GatewayClient  # noqa: PLC0415
    from tiphys.settings import AskerSettings, ServingSettings  # noqa: PLC0415

    asker = load(AskerSettings)
    ask(recorded, load(ServingSettings).production_http, GatewayClient(asker.url, key=asker.key))
