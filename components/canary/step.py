"""The work of ``canary``: release beside production, let riders ask, judge, write it down; a refusal withdraws at once."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from components.canary.contract import CONTRACT, Inputs, Outputs
from tiphys.errors import RetryableError
from tiphys.release import promotion
from tiphys.release.client import LedgerClient
from tiphys.release.promotion import IN_PRODUCTION
from tiphys.release.records import Evidence, Recorded
from tiphys.release.rollback import Asked
from tiphys.release.tested import tested
from tiphys.settings import LedgerSettings, load
from tiphys.step import Context

if TYPE_CHECKING:
    from components.canary.lease import Lease
    from components.canary.trial import Trial
    from tiphys.serving.gateway_client import GatewayClient
    from tiphys.usecase import Examples, UseCase
    from tiphys.watch.answers import Judgement, Scale

_REASONS_SHOWN = 12
_ROUTED_SECONDS = 15.0
_NOT_ROUTED = frozenset({"not_served", "not_found"})

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Judge the candidate; a refusal is an outcome, not an error: `judge` and `rollback` come after it.

    Raises:
        GateError: staging serves something else than what was tested, or somebody went back from that very image in
            production. No evidence is left of that: a person may bring it back.
        PermanentError: the agent refuses the candidate, or somebody else released into the canary in between.
        RetryableError: a server is away, or the candidate does not serve in time.
    """
    ledger = LedgerClient(load(LedgerSettings))
    release = tested(ledger, inputs.use_case, inputs.staging_generation)
    there = promotion.serves_already(ledger.current("production"), release)
    if there is not None:
        return _in_production(there, context)
    promotion.check_not_gone_back(ledger, release)
    return _tried(ledger, release, inputs, context)


def _in_production(there: Recorded, context: Context) -> Outputs:
    """Nothing is asked of what serves everybody already; the imports of a trial cost more than all else here."""
    reason = f"production serves {there.model_version} from this very image since generation {there.generation}"
    report, figures = (context.artifact(file) for file in CONTRACT.artifacts().values())
    report.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Canary</title><p>{reason}", encoding="utf-8"
    )
    figures.write_text(f'{{"verdict": "{IN_PRODUCTION}"}}', encoding="utf-8")
    return Outputs(verdict=IN_PRODUCTION, reasons=reason, answers=0, seconds=0.0, report=report, figures=figures)


def _tried(ledger: LedgerClient, release: Recorded, inputs: Inputs, context: Context) -> Outputs:
    from components.canary.lease import Lease  # noqa: PLC0415 - as above

    asked = Asked(inputs.asked_by or "canary", context.run, f"tested in staging as generation {release.generation}")
    lease = Lease(ledger, release, asked, inputs.lease_s)
    try:
        trial, judgement = _trial(ledger, release, lease, inputs)
    except BaseException:
        lease.withdraw("the canary was broken off")
        raise
    try:  # withdrawn first, as it saves users; told also where that fails, as the traffic ends by itself
        if judgement.verdict != "promote":
            lease.withdraw("; ".join(judgement.reasons))
    finally:
        outputs = _told(ledger, release, trial, judgement, inputs, context)
    return outputs


def _trial(ledger: LedgerClient, release: Recorded, lease: Lease, inputs: Inputs) -> tuple[Trial, Judgement]:
    """Make everything ready, then hold the trial."""
    from components.canary import trial as trials  # noqa: PLC0415
    from components.canary.riders import Riders, rides  # noqa: PLC0415
    from tiphys.serving.gateway_client import GatewayClient  # noqa: PLC0415
    from tiphys.settings import AdminSettings, AgentsSettings, AskerSettings  # noqa: PLC0415
    from tiphys.usecase import UseCase  # noqa: PLC0415
    from tiphys.watch.comparison import Comparison  # noqa: PLC0415
    from tiphys.watch.live import Live  # noqa: PLC0415

    use_case = UseCase(inputs.use_case)
    held_out = _held_out(use_case, inputs.dataset, inputs.window)
    scale = _scale(ledger, use_case, release, held_out)
    seed = int(release.manifest_sha256[:8], 16)
    asker = load(AskerSettings)
    gateway = GatewayClient(asker.url, key=asker.key, connections=inputs.riders)
    waiting = rides(use_case, held_out, inputs.rides, seed)
    observed_there = ledger.current("production").observed.get(release.model)
    riders = Riders(
        use_case,
        gateway,
        waiting,
        rate=inputs.rate,
        at_once=inputs.riders,
        seed=seed,
        production_serves=observed_there is not None and bool(observed_there.version),
    )
    observed = lease.begin(inputs.wait_s)
    log.info("canary serves version %s from %s", observed.version, observed.image)
    _wait_until_routed(gateway, use_case, release)
    trial = trials.Trial(Comparison(scale), Live(scale))
    counts = trials.counts_of(load(AgentsSettings).gateway_admin_url, load(AdminSettings).token, use_case.name)
    judgement = trials.hold(
        trial,
        riders,
        lease,
        counts,
        version=release.number,
        live=(inputs.share, inputs.shadow),
        seconds=inputs.deadline_s,
    )
    if riders.not_asked:
        log.info("not asked: %s", dict(riders.not_asked))
    return trial, judgement


def _held_out(use_case: UseCase, name: str, window: str) -> Examples:
    """Rows of the dataset's last month, or the newest since the world changed: training never saw them."""
    from tiphys.errors import DataError  # noqa: PLC0415
    from tiphys.lake import window as windows  # noqa: PLC0415
    from tiphys.lake.dataset import Dataset  # noqa: PLC0415
    from tiphys.lake.months import newest  # noqa: PLC0415

    dataset, chosen = Dataset.open(name), windows.Window.parse(window)
    if chosen is not None:
        return windows.cut(windows.read(use_case, dataset, chosen.since), chosen.recent_from).test.rows
    last = newest(dataset.months, use_case.data.min_rows_per_month)
    if not last:
        message = f"dataset {name!r} has no rows: artificial riders have nothing to ask about"
        raise DataError(message)
    return use_case.examples(dataset.read(use_case.columns, last))


def _scale(ledger: LedgerClient, use_case: UseCase, release: Recorded, held_out: Examples) -> Scale:
    """What figures are held against: the SLO, the target, past outcomes, the evaluation."""
    from tiphys.watch.answers import Scale  # noqa: PLC0415
    from tiphys.watch.comparison import deciles  # noqa: PLC0415

    slo, target = use_case.part("slo").SLO, use_case.target
    evaluated = ledger.evidence(manifest_sha256=release.manifest_sha256, kind="evaluation", limit=1)
    error = evaluated[0].content.get("metrics", {}).get("mae") if evaluated else None
    return Scale(
        p95_ms=slo.p95_ms,
        p99_ms=slo.p99_ms,
        close=target.close,
        unit=target.unit,
        edges=deciles(held_out.target),
        expected_error=error if isinstance(error, int | float) else None,
    )


def _wait_until_routed(gateway: GatewayClient, use_case: UseCase, release: Recorded) -> None:
    """Wait until the gateway asks the candidate, as it hears of it from the agent; what it then says is no matter here.

    Raises:
        RetryableError: the gateway is away, or still asks another version.
    """
    api, deadline = use_case.api, time.monotonic() + _ROUTED_SECONDS
    while True:
        reply = gateway.ask(f"/canary/v1/{api.route}", api.examples[0])
        version = reply.headers.get("x-tiphys-version", "")
        if version == release.number or (not version and reply.code not in _NOT_ROUTED):
            return
        if time.monotonic() > deadline:
            found = f"version {version}" if version else f"{reply.status} {reply.error}"
            message = f"the gateway's canary answers with {found}, not with {release.model_version}: look at its log"
            raise RetryableError(message)
        time.sleep(0.1)


def _told(  # noqa: PLR0913, PLR0917 - all that there is to tell
    ledger: LedgerClient, release: Recorded, trial: Trial, judgement: Judgement, inputs: Inputs, context: Context
) -> Outputs:
    """Leave evidence, page and figures."""
    from components.canary import report  # noqa: PLC0415

    asked = trial.comparison.asked
    about = {
        "use_case": release.use_case,
        "model_version": release.model_version,
        "image": release.image,
        "staging_generation": release.generation,
        "share": inputs.share,
        "shadow": inputs.shadow,
        "dataset": inputs.dataset,
    }
    content = report.as_record(trial, judgement, about)
    ledger.add_evidence(
        Evidence(
            use_case=release.use_case,
            model_version=release.model_version,
            manifest_sha256=release.manifest_sha256,
            kind="canary",
            held=judgement.verdict == "promote",
            content=content,
            run=context.run,
            asked_by=inputs.asked_by,
        )
    )
    page, figures = (context.artifact(file) for file in CONTRACT.artifacts().values())
    page.write_text(report.as_page(trial, judgement, about), encoding="utf-8")
    figures.write_text(report.as_json(trial, content), encoding="utf-8")
    log.info(
        "%s after %d questions in %.1f s: %s", judgement.verdict, asked, trial.seconds, "; ".join(judgement.reasons)
    )
    return Outputs(
        verdict=judgement.verdict,
        reasons="; ".join(judgement.reasons[:_REASONS_SHOWN]),
        answers=asked,
        seconds=round(trial.seconds, 2),
        report=page,
        figures=figures,
    )
