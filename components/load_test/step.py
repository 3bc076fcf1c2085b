"""The work of ``load-test``: Locust in a process of its own against the gateway's staging route, bounded in time."""

from __future__ import annotations

import dataclasses
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from components.load_test import report
from components.load_test.contract import CONTRACT, Inputs, Outputs
from components.load_test.figures import Demand, Figures, demands, summarise
from tiphys.errors import GateError, RetryableError
from tiphys.release import promotion
from tiphys.release.client import LedgerClient
from tiphys.release.records import Evidence, Recorded
from tiphys.serving.gateway_client import GatewayClient
from tiphys.serving.triton import TritonControl
from tiphys.settings import AskerSettings, LedgerSettings, ServingSettings, load
from tiphys.step import Context
from tiphys.tracking import Tracking
from tiphys.usecase import LoadProfile, UseCase

_WARM_UP_SECONDS = 3
_START_AND_STOP_SECONDS = 60
_OK = 200

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Put the load on staging, write the report, and fail if the SLO is missed.

    Raises:
        GateError: the SLO is missed, with the figures; or staging serves another version.
        RetryableError: the gateway is away, or Locust did not run to its end.
    """
    use_case, serving = UseCase(inputs.use_case), load(ServingSettings)
    profile = _profile(use_case, inputs)
    before = _under_test(use_case, serving, inputs)
    figures = _put_load(use_case, load(AskerSettings).url, profile)
    check_same(before, _under_test(use_case, serving, inputs))
    demanded = demands(figures, profile)
    outputs = _outputs(figures, context)
    about = {"model": inputs.model_version, "route": _path(use_case), "rate": profile.rate, "users": profile.users}
    outputs.report.write_text(report.as_page(figures, demanded, about), encoding="utf-8")
    outputs.figures.write_text(report.as_json(figures, demanded, about), encoding="utf-8")
    context.publish(outputs)
    _keep(inputs.mlflow_run, outputs)
    _leave_evidence(inputs, context, outputs, demanded)
    missed = [f"{each.name} is {each.found}, wanted {each.wanted}" for each in demanded if not each.held]
    if missed:
        why = f" ({next(iter(figures.reasons))})" if figures.reasons else ""
        message = f"{inputs.model_version} misses its SLO under {profile.rate:g} requests/s: {'; '.join(missed)}{why}"
        raise GateError(message)
    log.info("p95 %.1f ms at %.0f requests/s, %d errors", figures.p95, figures.rate, figures.errors)
    return outputs


def _keep(run: str, outputs: Outputs) -> None:
    """Keep report and figures with the model's run in MLflow."""
    if not run:
        return
    tracking = Tracking()
    for each in (outputs.report, outputs.figures):
        tracking.log_artifact(run, f"load-test/{each.name}", each)
    names = ("p50_ms", "p95_ms", "p99_ms", "rate", "errors")
    tracking.log_metrics(run, {f"load_test.{name}": float(getattr(outputs, name)) for name in names})


def _leave_evidence(inputs: Inputs, context: Context, outputs: Outputs, demanded: list[Demand]) -> None:
    """Tell the ledger, if it is known whose evidence it is."""
    if not inputs.manifest_sha256:
        return
    content = outputs.model_dump(exclude={"report", "figures"})
    content["slo"] = {each.name: {"wanted": each.wanted, "found": each.found, "held": each.held} for each in demanded}
    LedgerClient(load(LedgerSettings)).add_evidence(
        Evidence(
            use_case=inputs.use_case,
            model_version=inputs.model_version,
            manifest_sha256=inputs.manifest_sha256,
            kind="load-test",
            held=all(each.held for each in demanded),
            content=content,
            run=context.run,
            asked_by=inputs.asked_by,
        )
    )


def _profile(use_case: UseCase, inputs: Inputs) -> LoadProfile:
    found: LoadProfile = use_case.part("slo").LOAD
    return dataclasses.replace(found, seconds=inputs.seconds or found.seconds, rate=inputs.rate or found.rate)


def _path(use_case: UseCase) -> str:
    return f"/staging/v1/{use_case.api.route}"


def check_same(before: Recorded, after: Recorded) -> None:
    """Refuse figures that are of two releases.

    Raises:
        RetryableError: staging was released anew in between.
    """
    if (before.generation, before.image) != (after.generation, after.image):
        message = (
            f"staging went from generation {before.generation} to {after.generation} during the test: "
            "the figures are of both and count for neither; run it again"
        )
        raise RetryableError(message)


def check_asked_for(staging: Recorded, inputs: Inputs) -> None:
    """Refuse to measure another repository than the one whose evidence this is.

    Raises:
        GateError: staging serves another version, or the same number of another repository.
    """
    found = (staging.model_version, staging.manifest_sha256)
    if found != (inputs.model_version, inputs.manifest_sha256 or staging.manifest_sha256):
        message = (
            f"staging does not serve {inputs.model_version} of manifest {inputs.manifest_sha256[:12] or 'any'}: it serves "
            f"{staging.model_version} of manifest {staging.manifest_sha256[:12]}; deploy it first"
        )
        raise GateError(message)


def _under_test(use_case: UseCase, serving: ServingSettings, inputs: Inputs) -> Recorded:
    """Return what staging serves by its agent's word, after asking Triton and the gateway."""
    staging = promotion.candidate(LedgerClient(load(LedgerSettings)), inputs.use_case)
    check_asked_for(staging, inputs)
    number = inputs.model_version.rpartition("/")[2]
    if not TritonControl(serving.staging_http).ready(use_case.name, number):
        message = f"staging does not serve {inputs.model_version}: deploy it first; 'tiphys release show staging' tells"
        raise GateError(message)
    asker = load(AskerSettings)
    reply = GatewayClient(asker.url, key=asker.key).ask_when_mounted(_path(use_case), use_case.api.examples[0])
    if reply.status != _OK:
        message = f"the gateway's {_path(use_case)} answers {reply.status}: {reply.error}"
        raise GateError(message)
    return staging


def _put_load(use_case: UseCase, gateway_url: str, profile: LoadProfile) -> Figures:
    plan = {
        "path": _path(use_case),
        "questions": [dict(each) for each in use_case.api.examples],
        "rate": profile.rate,
        "users": profile.users,
    }
    log.info("%.0f requests/s by %d users for %.0f s", profile.rate, profile.users, profile.seconds)
    with tempfile.TemporaryDirectory(prefix="load-test-") as folder:
        samples = _locust(Path(folder), gateway_url, plan, profile)
    return summarise(samples["seconds"], samples["rows"])


def _locust(folder: Path, gateway_url: str, plan: dict[str, Any], profile: LoadProfile) -> dict[str, Any]:
    (folder / "plan.json").write_text(json.dumps(plan))
    seconds = _WARM_UP_SECONDS + profile.seconds
    command = [
        sys.executable, "-m", "locust", "--locustfile", str(Path(__file__).with_name("locustfile.py")),
        "--headless", "--host", gateway_url, "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0",
        "--users", str(profile.users), "--spawn-rate", f"{profile.users / _WARM_UP_SECONDS:.3f}",
        "--run-time", f"{seconds:.0f}s", "--stop-timeout", "5",
        "--plan", str(folder / "plan.json"), "--samples", str(folder / "samples.json"),
    ]  # fmt: skip
    with (folder / "log").open("w+") as output:
        try:
            subprocess.run(  # noqa: S603 - our own interpreter, our own file
                command, cwd=folder, stdout=output, stderr=output, timeout=seconds + _START_AND_STOP_SECONDS, check=True
            )
            samples: dict[str, Any] = json.loads((folder / "samples.json").read_bytes())
        except (subprocess.SubprocessError, OSError) as error:
            output.seek(0)
            message = f"Locust did not run to its end: {error}; its last words: {output.read()[-500:]}"
            raise RetryableError(message) from error
    return samples


def _outputs(figures: Figures, context: Context) -> Outputs:
    files = CONTRACT.artifacts()
    return Outputs(
        p50_ms=round(figures.p50, 2),
        p95_ms=round(figures.p95, 2),
        p99_ms=round(figures.p99, 2),
        rate=round(figures.rate, 1),
        errors=figures.errors,
        report=context.artifact(files["report"]),
        figures=context.artifact(files["figures"]),
    )
