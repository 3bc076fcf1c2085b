"""The work of ``deploy-service``: proof by running where containers can be run, then one compare-and-set in the ledger.

On a cluster this step has no privileges and starts nothing: the ledger's record names the digests, a rollout takes
them from there, and the new pods' readiness is the proof. On a laptop with root, buildah and runc the image is started
here, beside the running gateway, and asked what a rider asks.
"""

from __future__ import annotations

import logging

from components.deploy_service import trial
from components.deploy_service.contract import Inputs, Outputs
from tiphys.errors import DataError
from tiphys.oci import reference
from tiphys.release.client import LedgerClient
from tiphys.release.records import ServiceRelease
from tiphys.settings import LedgerSettings, RegistrySettings, load
from tiphys.step import Context

GATEWAY = "gateway"

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Prove and release.

    Raises:
        DataError: an image is not named by digest.
        GateError: the gateway does not answer from its image.
        PermanentError: the image cannot be had, or somebody else released services in between.
        RetryableError: registry or ledger is away.
    """
    if not inputs.images:
        message = "there is no image to release: name some in 'images' of build-images"
        raise DataError(message)
    for each in inputs.images.values():
        reference.parse(each)
    proven, why_not = "", trial.why_not()
    if GATEWAY in inputs.images and not why_not:
        proven = trial.ask_gateway(inputs.images[GATEWAY], inputs.use_case, inputs.wait_s, load(RegistrySettings))
        log.info("proven: %s", proven)
    else:
        log.info("nothing is started here: %s", why_not or "there is no image of the gateway among them")
    ledger = LedgerClient(load(LedgerSettings))
    release = ServiceRelease(
        revision=inputs.commit, images=inputs.images, reason=proven or "built and tested", run=context.run
    )
    newest = ledger.services(inputs.environment)
    recorded = ledger.release_services(inputs.environment, release, newest[0].generation if newest else 0)
    log.info("%s is to run %s: generation %d", inputs.environment, inputs.commit, recorded.generation)
    return Outputs(generation=recorded.generation, proven=proven)
