"""The work of ``promote``: what staging serves goes into production, unless staging has moved on since its tests."""

from __future__ import annotations

import json
import logging

from components.promote.contract import Inputs, Outputs
from tiphys.errors import GateError
from tiphys.release.client import LedgerClient
from tiphys.release.records import Environment, Recorded, Release
from tiphys.serving.gateway_client import GatewayClient
from tiphys.serving.repository import TRITON_TYPES
from tiphys.serving.triton import TritonControl
from tiphys.settings import LedgerSettings, ServingSettings, load
from tiphys.step import Context
from tiphys.usecase import UseCase

_OK = 200

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Release into production, and return when it answers with that version.

    Raises:
        GateError: staging serves something else than what was tested, or production does not answer with it.
        PermanentError: the agent refuses it, or somebody else released the same use case in between.
        RetryableError: a server is away, or the model does not serve in time.
    """
    ledger = LedgerClient(load(LedgerSettings))
    production = ledger.current("production")
    tested = _tested(ledger.current("staging"), inputs)
    release = Release(
        **tested.release().model_dump(exclude={"reason", "run"}),
        reason=f"tested in staging as generation {tested.generation}",
        run=context.run,
    )
    recorded = ledger.release_over(production, release)
    log.info("production is to serve %s: generation %d", release.model_version, recorded.generation)
    observed = ledger.wait_until_served(recorded, inputs.wait_s)
    _ask(recorded)
    log.info("production answers with version %s", observed.version)
    return Outputs(generation=recorded.generation, serving=f"{observed.model} version {observed.version}")


def _tested(staging: Environment, inputs: Inputs) -> Recorded:
    release = staging.releases.get(inputs.use_case)
    observed = None if release is None else staging.observed.get(release.model)
    wanted = f"generation {inputs.staging_generation}, which was tested"
    if release is None or release.generation != inputs.staging_generation:
        found = "nothing" if release is None else f"generation {release.generation} ({release.model_version})"
        message = f"staging is to serve {found} of {inputs.use_case}, not {wanted}: run the pipeline again"
        raise GateError(message)
    if observed is None or observed.state != "serving" or observed.generation != release.generation:
        said = "nothing" if observed is None else f"{observed.state}: {observed.message}"
        message = f"staging does not serve {wanted} (its agent says {said}): nothing untested is promoted"
        raise GateError(message)
    if observed.image != release.image:
        message = (
            f"staging serves from {observed.image or 'no image'}, {wanted} is {release.image}: run the pipeline again"
        )
        raise GateError(message)
    return release


def _ask(recorded: Recorded) -> None:
    """Ask production one of the use case's own questions, at its Triton and through the gateway."""
    serving, use_case = load(ServingSettings), UseCase(recorded.use_case)
    api, question = use_case.api, use_case.api.examples[0]
    row = api.to_features(api.request.model_validate_json(json.dumps(question)))
    inputs = {each.name: (TRITON_TYPES[each.dtype], row[each.name]) for each in use_case.features}
    answer, version = TritonControl(serving.production_http).ask(use_case.name, inputs)
    if version != recorded.number:
        message = f"production answers with version {version}, not {recorded.number}: look at its agent's log"
        raise GateError(message)
    reply = GatewayClient(serving.gateway_url).ask_when_mounted(f"/v1/{api.route}", question)
    if reply.status != _OK:
        message = f"the gateway does not answer for production: {reply.status} {reply.error}"
        raise GateError(message)
    log.info("asked %s: Triton says %.6g, the gateway %s", dict(question), answer, reply.body)
