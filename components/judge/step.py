"""The work of ``judge``: evidence of every kind has to be there and to hold; what was found is written down either way."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from components.judge.contract import Inputs, Outputs
from tiphys.release import passport
from tiphys.release.client import LedgerClient
from tiphys.release.promotion import IN_PRODUCTION
from tiphys.release.records import Evidence, EvidenceKind, EvidenceRecorded
from tiphys.settings import LedgerSettings, load
from tiphys.step import Context

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Say what becomes of the candidate, and leave that as evidence.

    Raises:
        RetryableError: the ledger is away.
    """
    if inputs.canary_verdict == IN_PRODUCTION:
        return Outputs(verdict="promote", reasons=f"{inputs.model_version} is {IN_PRODUCTION}: nothing changes")
    ledger = LedgerClient(load(LedgerSettings))
    found = passport.newest(ledger.weighed(inputs.manifest_sha256))
    faults = list(missing(inputs, found))
    verdict = "rollback" if faults else "promote"
    reasons = faults or list(proven(found))
    ledger.add_evidence(
        Evidence(
            use_case=inputs.use_case,
            model_version=inputs.model_version,
            manifest_sha256=inputs.manifest_sha256,
            kind="judgement",
            held=verdict == "promote",
            content={
                "verdict": verdict,
                "reasons": reasons,
                "weighed": {kind: {"number": each.number, "held": each.held} for kind, each in found.items()},
            },
            run=context.run,
            asked_by=inputs.asked_by,
        )
    )
    log.info("%s: %s", verdict, "; ".join(reasons))
    return Outputs(verdict=verdict, reasons="; ".join(reasons))


def missing(inputs: Inputs, found: Mapping[EvidenceKind, EvidenceRecorded]) -> Iterator[str]:
    """Say what speaks against the candidate: a kind of evidence that is not there or did not hold."""
    for kind in passport.KINDS:
        evidence = found.get(kind)
        if kind == "judgement":
            continue
        if evidence is None:
            yield f"{kind}: there is no evidence of it for this manifest"
        elif not evidence.held:
            yield f"{kind}: {_words(evidence)}"
    if inputs.canary_verdict != "promote" and (canary := found.get("canary")) is not None and canary.held:
        yield f"canary: {inputs.canary_verdict}: {inputs.canary_reasons}"


def proven(found: Mapping[EvidenceKind, EvidenceRecorded]) -> Iterator[str]:
    """Say what speaks for it."""
    for kind in passport.KINDS:
        if kind in found and kind != "judgement":
            yield f"{kind}: {_words(found[kind])}"


def _words(evidence: EvidenceRecorded) -> str:
    """What a step said of itself, in a line."""
    content = evidence.content
    said = content.get("reasons") or content.get("missed") or _missed_slo(content) or content.get("verdict")
    text = "; ".join(map(str, said)) if isinstance(said, list) else str(said or "")
    return text or ("held" if evidence.held else f"did not hold (evidence {evidence.number})")


def _missed_slo(content: Mapping[str, Any]) -> list[str]:
    """Demands of a service level that were not met."""
    listed: Mapping[str, Any] = content.get("slo") or {}
    return [f"{name} is {each['found']}, wanted {each['wanted']}" for name, each in listed.items() if not each["held"]]
