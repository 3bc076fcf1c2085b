"""The judge: what it weighs, and what it says of what is missing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from components.judge.contract import Inputs
from components.judge.step import missing, proven
from tiphys.release import passport
from tiphys.release.records import EvidenceKind, EvidenceRecorded

pytestmark = pytest.mark.unit
MANIFEST = "a" * 64


def inputs(verdict: str = "promote", reasons: str = "") -> Inputs:
    """What the pipeline hands over."""
    return Inputs(
        use_case="taxi_eta",
        model_version="models:/taxi_eta/3",
        manifest_sha256=MANIFEST,
        canary_verdict=verdict,
        canary_reasons=reasons,
    )


def evidence(kind: EvidenceKind, *, held: bool = True, **content: Any) -> EvidenceRecorded:
    """One piece of it."""
    return EvidenceRecorded(
        use_case="taxi_eta",
        model_version="models:/taxi_eta/3",
        manifest_sha256=MANIFEST,
        kind=kind,
        held=held,
        content=content,
        number=7,
        made_at=datetime.now(UTC),
    )


def everything() -> dict[EvidenceKind, EvidenceRecorded]:
    """All kinds that the judge asks for, held."""
    return {kind: evidence(kind, verdict="fine") for kind in passport.KINDS if kind != "judgement"}


def test_all_evidence_held_speaks_for_it() -> None:
    """Each kind has its say."""
    assert list(missing(inputs(), everything())) == []
    assert [each.partition(":")[0] for each in proven(everything())] == list(everything())


@pytest.mark.parametrize("kind", [kind for kind in passport.KINDS if kind != "judgement"])
def test_a_kind_that_is_missing_is_named(kind: EvidenceKind) -> None:
    """No data is no success."""
    found = {name: each for name, each in everything().items() if name != kind}
    assert [each.partition(":")[0] for each in missing(inputs(), found)] == [kind]


def test_what_did_not_hold_says_why() -> None:
    """In the step's own words and figures."""
    found = everything() | {
        "canary": evidence("canary", held=False, verdict="rollback", reasons=["12 of 14 answers were not finite"]),
        "integration-test": evidence("integration-test", held=False, missed=["grpc: wrong shape"]),
        "load-test": evidence(
            "load-test", held=False, slo={"p95_ms": {"found": "80 ms", "wanted": "<= 50 ms", "held": False}}
        ),
    }
    said = " | ".join(missing(inputs("rollback"), found))
    assert "12 of 14 answers were not finite" in said
    assert "grpc: wrong shape" in said
    assert "p95_ms is 80 ms, wanted <= 50 ms" in said


def test_evidence_of_an_earlier_canary_does_not_outweigh_what_this_one_said() -> None:
    """The ledger's newest held, this run's verdict was another: it is not promoted."""
    assert list(missing(inputs("not_enough", "60 answers"), everything())) == ["canary: not_enough: 60 answers"]
