"""Passports: made from evidence alone, signed, and refused when anything about them is off."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tiphys.errors import DataError, GateError, SettingsError
from tiphys.release import passport, signing
from tiphys.release.records import Evidence, EvidenceKind, EvidenceRecorded, Passport, Release, canonical

pytestmark = pytest.mark.unit

KEY = "11" * 32
TRUSTED = (signing.public_key(KEY),)
RELEASE = Release(
    use_case="tests.usecases.tiny",
    model_version="models:/tiny/7",
    repository="s3://models/tiny/7/",
    manifest_sha256="a" * 64,
    image="s3://models/images/tiny/7@sha256:" + "b" * 64,
    run="run-7",
)


def evidence(kind: EvidenceKind, number: int, **other: Any) -> EvidenceRecorded:
    """One piece that held, unless told otherwise."""
    content = {"dataset": "tiny.boilings@v1", "revision": "c" * 40, "metrics": {"mae": 11.25, "status_quo.mae": 20.0}}
    fields = {"held": True, "content": content, "manifest_sha256": RELEASE.manifest_sha256, "run": "run-7", **other}
    return EvidenceRecorded(
        use_case=RELEASE.use_case, model_version=RELEASE.model_version, kind=kind, number=number,
        made_at=datetime(2026, 1, 1, tzinfo=UTC), **fields,
    )  # fmt: skip


def all_held() -> list[EvidenceRecorded]:
    """One piece of each kind."""
    return [evidence(kind, number + 1) for number, kind in enumerate(passport.KINDS)]


def sealed() -> Passport:
    """A sound passport of the release."""
    return passport.seal(passport.state(RELEASE, all_held(), "a test", "run-7"), KEY)


def test_a_passport_tells_what_was_found_and_who_asked() -> None:
    """It can be read alone: data, code, and each piece of evidence with its number and its run."""
    said = passport.read(sealed(), TRUSTED)
    assert (said.dataset, said.revision, said.asked_by) == ("tiny.boilings@v1", "c" * 40, "a test")
    assert said.evidence["evaluation"].content["metrics"] == {"mae": 11.25, "status_quo.mae": 20.0}
    assert {kind: each.number for kind, each in said.evidence.items()} == {
        kind: number + 1 for number, kind in enumerate(passport.KINDS)
    }
    assert passport.differences(said, RELEASE) == []


@pytest.mark.parametrize("kind", passport.KINDS)
def test_without_one_kind_of_evidence_there_is_no_passport(kind: EvidenceKind) -> None:
    """The message names the kind."""
    rest = [each for each in all_held() if each.kind != kind]
    with pytest.raises(GateError, match=f"no evidence of kind {kind}"):
        passport.state(RELEASE, rest, "a test", "run-7")


@pytest.mark.parametrize("kind", passport.KINDS)
def test_evidence_that_did_not_hold_makes_no_passport(kind: EvidenceKind) -> None:
    """The newest counts: what held before does not."""
    with pytest.raises(GateError, match=f"{kind} did not hold .evidence 100"):
        passport.state(RELEASE, [*all_held(), evidence(kind, 100, held=False)], "a test", "run-7")


def test_evidence_that_held_later_counts() -> None:
    """A test that was flaky once is repeated, and then held."""
    once = evidence("load-test", 0, held=False)
    assert passport.state(RELEASE, [once, *all_held()], "a test", "run-7").evidence["load-test"].held


def test_evidence_of_another_repository_makes_no_passport() -> None:
    """Whoever swaps the files has to prove them anew."""
    with pytest.raises(GateError, match=r"canary .evidence 100. is of another repository"):
        passport.state(RELEASE, [*all_held(), evidence("canary", 100, manifest_sha256="d" * 64)], "a test", "run-7")


def test_any_byte_of_the_text_that_is_altered_is_found() -> None:
    """Every fiftieth byte, each of its bits."""
    good = sealed()
    text = good.text.encode()
    tried = 0
    for at in range(0, len(text), max(1, len(text) // 50)):
        for bit in range(7):  # the eighth would make it no text any more
            bad = text[:at] + bytes([text[at] ^ (1 << bit)]) + text[at + 1 :]
            with pytest.raises(DataError):
                passport.read(good.model_copy(update={"text": bad.decode()}), TRUSTED)
            tried += 1
    assert tried >= 350


def test_any_byte_of_the_signature_that_is_altered_is_found() -> None:
    """All 64 of them."""
    good = sealed()
    for at in range(0, 128, 2):
        bad = f"{int(good.signature[at : at + 2], 16) ^ 1:02x}"
        with pytest.raises(DataError, match="altered"):
            passport.read(
                good.model_copy(update={"signature": good.signature[:at] + bad + good.signature[at + 2 :]}), TRUSTED
            )


def test_a_passport_of_another_key_is_refused() -> None:
    """Even one that is sound in itself; and a sound text under the name of a trusted key is not."""
    other = passport.seal(passport.state(RELEASE, all_held(), "a test", "run-7"), "22" * 32)
    with pytest.raises(DataError, match="not trusted"):
        passport.read(other, TRUSTED)
    with pytest.raises(DataError, match="altered"):
        passport.read(other.model_copy(update={"public_key": TRUSTED[0]}), TRUSTED)
    with pytest.raises(DataError, match="trusted: none"):
        passport.read(other, ())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_case", "tests.usecases.other"),
        ("model_version", "models:/tiny/8"),
        ("repository", "s3://models/tiny/8/"),
        ("manifest_sha256", "e" * 64),
        ("image", "s3://models/images/tiny/7@sha256:" + "f" * 64),
    ],
)
def test_a_passport_of_another_release_does_not_fit(field: str, value: str) -> None:
    """Each name counts, and the one that differs is told."""
    said = passport.read(sealed(), TRUSTED)
    (told,) = passport.differences(said, RELEASE.model_copy(update={field: value}))
    assert told.startswith(f"{field} is")


@pytest.mark.parametrize("change", ["drop", "not held"])
def test_a_signed_passport_that_lacks_evidence_does_not_fit(change: str) -> None:
    """The key alone opens nothing: whoever signs without evidence is refused as well."""
    content = json.loads(sealed().text)
    if change == "drop":
        del content["evidence"]["judgement"]
    else:
        content["evidence"]["judgement"]["held"] = False
    text = canonical(content)
    forged = Passport(text=text, signature=signing.sign(KEY, text), public_key=TRUSTED[0])
    assert any("judgement" in each for each in passport.differences(passport.read(forged, TRUSTED), RELEASE))


def test_a_text_that_has_two_meanings_is_refused() -> None:
    """JSON readers differ about a key that is there twice, so only canonical texts count."""
    text = sealed().text.replace('{"asked_by"', '{"asked_by":"somebody","asked_by"', 1)
    signed = Passport(text=text, signature=signing.sign(KEY, text), public_key=TRUSTED[0])
    with pytest.raises(DataError, match="canonical"):
        passport.read(signed, TRUSTED)


def test_a_passport_is_held_against_the_evidence_of_the_ledger() -> None:
    """Cited evidence that the ledger has otherwise, not at all, or that fell since, is told."""
    said = passport.read(sealed(), TRUSTED)
    assert passport.strangers(said, all_held()) == []
    assert passport.strangers(said, all_held()[1:]) == ["its evaluation is not evidence 1 of the ledger"]
    other = [evidence("evaluation", 1, content={"metrics": {"mae": 0.0}}), *all_held()[1:]]
    assert passport.strangers(said, other) == ["its evaluation is not evidence 1 of the ledger"]
    fell = [*all_held(), evidence("load-test", 50, held=False)]
    assert passport.strangers(said, fell) == ["its load-test did not hold when it was looked at again (evidence 50)"]


def test_a_private_key_that_is_none_is_refused_without_being_shown() -> None:
    """The message names the setting."""
    with pytest.raises(SettingsError, match="TIPHYS_PASSPORT_KEY") as refusal:
        passport.seal(passport.state(RELEASE, all_held(), "a test", "run-7"), "secret")
    assert "secret" not in str(refusal.value)


def test_evidence_of_numbers_that_json_lacks_is_kept_as_text() -> None:
    """A canary that says NaN has to leave evidence of it."""
    found = Evidence(
        **evidence("canary", 1, content={"answers": [float("nan"), 1.0, {"x": float("inf")}]}).evidence().model_dump()
    )
    assert found.content == {"answers": ["nan", 1.0, {"x": "inf"}]}


def test_evidence_that_is_too_large_is_refused() -> None:
    """The message names both sizes."""
    with pytest.raises(ValueError, match="65536 are allowed"):
        evidence("canary", 1, content={"text": "x" * 65536})
