"""The work of ``integration-test``: known rows and wrong questions to staging, by every way a user has."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.integration_test import checks
from components.integration_test.checks import Check
from components.integration_test.contract import CONTRACT, Inputs, Outputs
from tiphys.errors import GateError, PermanentError
from tiphys.lake.s3 import S3
from tiphys.release.client import LedgerClient
from tiphys.release.records import Evidence
from tiphys.serving import manifest
from tiphys.serving.gateway_client import GatewayClient
from tiphys.serving.routes import PREFIXES
from tiphys.serving.triton import TritonUser
from tiphys.settings import AskerSettings, LedgerSettings, ServingSettings, load
from tiphys.step import Context
from tiphys.usecase import UseCase

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Ask everything, write the report, and fail if anything did not hold.

    Raises:
        GateError: a check did not hold; all that did not are named.
        DataError: the repository is not what its digest says.
        RetryableError: a server is away.
    """
    use_case = UseCase(inputs.use_case)
    done = list(_asked(inputs, use_case, reference(inputs)))
    report = context.artifact(CONTRACT.artifacts()["report"])
    _write(report, inputs, done)
    missed = [each for each in done if not each.held]
    outputs = Outputs(checks=len(done) - len(missed), report=report)
    context.publish(outputs)
    _leave_evidence(inputs, context, done)
    if missed:
        listed = "; ".join(f"{each.name}: expected {each.expected}, found {each.found}" for each in missed[:5])
        message = f"{len(missed)} of {len(done)} checks of {inputs.model_version} in staging did not hold: {listed}"
        raise GateError(message)
    log.info("%d checks of %s in staging hold", len(done), inputs.model_version)
    return outputs


def reference(inputs: Inputs) -> dict[str, Any]:
    """Read the model's own answers from its repository, checked against the digests.

    Raises:
        DataError: the repository is not what its digest says.
        RetryableError: S3 is away.
    """
    store = S3()
    where = inputs.repository + manifest.MANIFEST
    found = manifest.parse(store.get(where), inputs.manifest_sha256, where)
    content = store.get(inputs.repository + manifest.REFERENCE)
    manifest.check_digest(content, found.files[manifest.REFERENCE].sha256, inputs.repository + manifest.REFERENCE)
    answers: dict[str, Any] = json.loads(content)
    return answers


def _asked(inputs: Inputs, use_case: UseCase, known: dict[str, Any]) -> Iterator[Check]:
    """Every check; a version that staging refuses to answer for is one that did not hold, and the last."""
    try:
        yield from _all(inputs, use_case, known)
    except PermanentError as error:
        yield Check("staging answers for the version", inputs.model_version, "answers", str(error)[:500], held=False)


def _all(inputs: Inputs, use_case: UseCase, known: dict[str, Any]) -> Iterator[Check]:
    serving = load(ServingSettings)
    yield checks.image(LedgerClient(load(LedgerSettings)).current("staging"), use_case.name, inputs.image)
    version = inputs.model_version.rpartition("/")[2]
    path = PREFIXES["staging"] + use_case.api.route
    asker = load(AskerSettings)
    gateway = GatewayClient(asker.url, key=asker.key)
    for user in (TritonUser("http", serving.staging_http), TritonUser("grpc", serving.staging_grpc)):
        yield checks.known_rows(user, use_case, known, version, inputs.tolerance)
        yield from checks.wrong_tensors(user, use_case, known)
        log.info("asked Triton over %s", user.protocol)
        if user.protocol == "grpc":
            yield checks.intervals(user, use_case, known, version)
            yield from checks.examples(gateway, path, user, use_case, known, version)
            yield from checks.wrong_questions(gateway, path, use_case)
            yield checks.known_rows(user, use_case, known, version, inputs.tolerance)
        user.close()


def _leave_evidence(inputs: Inputs, context: Context, done: list[Check]) -> None:
    missed = [each.name for each in done if not each.held]
    content = {"checks": len(done) - len(missed), "missed": missed, "environment": "staging", "image": inputs.image}
    LedgerClient(load(LedgerSettings)).add_evidence(
        Evidence(
            use_case=inputs.use_case,
            model_version=inputs.model_version,
            manifest_sha256=inputs.manifest_sha256,
            kind="integration-test",
            held=not missed,
            content=content,
            run=context.run,
            asked_by=inputs.asked_by,
        )
    )


def _write(path: Path, inputs: Inputs, done: list[Check]) -> None:
    content = {
        "model_version": inputs.model_version,
        "environment": "staging",
        "held": all(each.held for each in done),
        "checks": [asdict(each) for each in done],
    }
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
