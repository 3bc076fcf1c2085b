"""The work of ``deploy``: one compare-and-set in the ledger, then waiting for the agent's word."""

from __future__ import annotations

import logging

from components.deploy.contract import Inputs, Outputs
from tiphys.oci import reference
from tiphys.release.client import LedgerClient
from tiphys.release.records import Release
from tiphys.settings import LedgerSettings, load
from tiphys.step import Context

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Release the model, and return when it serves.

    Raises:
        DataError: the image is not named by digest.
        PermanentError: the agent refuses it, or somebody else released the same use case in between.
        RetryableError: the ledger is away, or the model does not serve in time.
    """
    reference.parse(inputs.image)
    ledger = LedgerClient(load(LedgerSettings))
    release = Release(
        use_case=inputs.use_case,
        model_version=inputs.model_version,
        repository=inputs.repository,
        manifest_sha256=inputs.manifest_sha256,
        image=inputs.image,
        reason="candidate that passed its gate",
        run=context.run,
    )
    recorded = ledger.release_over(ledger.current(inputs.environment), release)
    log.info("%s is to serve %s: generation %d", inputs.environment, inputs.model_version, recorded.generation)
    observed = ledger.wait_until_served(recorded, inputs.wait_s)
    log.info("%s serves version %s from %s", inputs.environment, observed.version, observed.image)
    return Outputs(generation=recorded.generation, serving=f"{observed.model} version {observed.version}")
