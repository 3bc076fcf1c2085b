"""Passports: the signed record of why a model may serve users, made from evidence and from nothing else.

The text is canonical JSON (keys sorted, no blanks) of a :class:`Statement`: who asked, which data, code, model, repository
and image, and for each of the six kinds of evidence what was found, by which run, under which number of the ledger. So it can be
read alone, and be compared with the ledger piece by piece. It knows no database and no HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from tiphys.errors import DataError, GateError
from tiphys.release import signing
from tiphys.release.records import (
    EvidenceKind,
    EvidenceRecorded,
    Passport,
    Release,
    Sha256,
    UseCaseName,
    canonical,
)

KINDS: tuple[EvidenceKind, ...] = get_args(EvidenceKind)
"""What a passport needs, each of it held."""
TEXT_CAP = 256 * 1024
_SHOWN = 12


class Proof(BaseModel):
    """One piece of evidence as a passport cites it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    """Its number in the ledger."""
    held: bool
    run: str
    asked_by: str
    made_at: AwareDatetime
    content: dict[str, Any]


class Statement(BaseModel):
    """What a passport says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    use_case: UseCaseName
    model_version: str
    repository: str
    manifest_sha256: Sha256
    image: str
    dataset: str
    """Dataset version that it was trained and judged on, as its evaluation names it."""
    revision: str
    """Code of the run that brought it into staging and asked for training and evaluation.

    Where those were there already, an earlier revision did them: the MLflow run named in ``evidence`` has it as a tag.
    """
    asked_by: str
    run: str
    made_at: AwareDatetime
    evidence: dict[EvidenceKind, Proof]


def newest(evidence: Iterable[EvidenceRecorded]) -> dict[EvidenceKind, EvidenceRecorded]:
    """Return the newest evidence of each kind."""
    return {each.kind: each for each in sorted(evidence, key=lambda each: each.number)}


def unproven(release: Release, evidence: Mapping[EvidenceKind, EvidenceRecorded]) -> list[str]:
    """List, in words, what the newest evidence leaves unproven of a release; nothing: it may have a passport."""
    return [fault for kind in KINDS if (fault := _fault(release, kind, evidence.get(kind)))]


def _fault(release: Release, kind: EvidenceKind, found: EvidenceRecorded | None) -> str:
    if found is None:
        return f"no evidence of kind {kind}"
    if (found.use_case, found.manifest_sha256) != (release.use_case, release.manifest_sha256):
        return f"{kind} (evidence {found.number}) is of another repository, manifest {found.manifest_sha256[:_SHOWN]}"
    if not found.held:
        return f"{kind} did not hold (evidence {found.number}, run {found.run})"
    return ""


def state(release: Release, evidence: Iterable[EvidenceRecorded], asked_by: str, run: str) -> Statement:
    """Put the newest evidence into words.

    Raises:
        GateError: a kind is missing, did not hold, or is of another repository; all of them are named.
    """
    last = newest(evidence)
    faults = unproven(release, last)
    if faults:
        message = (
            f"{release.model_version} gets no passport: {'; '.join(faults)}; "
            f"'tiphys release why {release.model_version}' tells what was found; run the pipeline again"
        )
        raise GateError(message)
    said = last["evaluation"].content
    return Statement(
        use_case=release.use_case,
        model_version=release.model_version,
        repository=release.repository,
        manifest_sha256=release.manifest_sha256,
        image=release.image,
        dataset=str(said.get("dataset", "")),
        revision=str(said.get("revision", "")),
        asked_by=asked_by,
        run=run,
        made_at=datetime.now(UTC),
        evidence={kind: _proof(last[kind]) for kind in KINDS},
    )


def _proof(found: EvidenceRecorded) -> Proof:
    return Proof(**found.model_dump(include=set(Proof.model_fields)))


def seal(statement: Statement, key: str) -> Passport:
    """Sign a statement with a private key (32 bytes in hex).

    Raises:
        GateError: it is longer than a passport may be.
        SettingsError: the key is none.
    """
    text = canonical(statement.model_dump(mode="json"))
    size = len(text.encode())
    if size > TEXT_CAP:
        message = f"the passport of {statement.model_version} would have {size} bytes, {TEXT_CAP} are allowed"
        raise GateError(f"{message}: let the steps leave shorter evidence")
    return Passport(text=text, signature=signing.sign(key, text), public_key=signing.public_key(key))


def trusted(keys: str) -> tuple[str, ...]:
    """Read ``TIPHYS_PASSPORT_PUBLIC_KEYS``: public keys in hex, with commas."""
    return tuple(each.strip().lower() for each in keys.split(",") if each.strip())


def read(passport: Passport, keys: Sequence[str]) -> Statement:
    """Return what a passport says, if one of those keys signed exactly that.

    Raises:
        DataError: none did, or the text is no statement in canonical form.
    """
    if passport.public_key not in keys:
        known = ", ".join(each[:_SHOWN] for each in keys) or "none"
        message = (
            f"the passport is signed by a key that is not trusted ({passport.public_key[:_SHOWN]}; trusted: {known})"
        )
        raise DataError(f"{message}: TIPHYS_PASSPORT_PUBLIC_KEYS lists the keys that are")
    if not signing.verifies(passport.public_key, passport.text, passport.signature):
        message = "the passport's signature does not fit its text: it was altered after it was signed; promote again"
        raise DataError(message)
    return parse(passport.text)


def parse(text: str) -> Statement:
    """Return what a passport's text says, whoever signed it.

    Raises:
        DataError: it is no statement in canonical form.
    """
    try:
        statement = Statement.model_validate_json(text)
        plain = canonical(json.loads(text)) == text
    except (ValidationError, ValueError) as error:
        message = f"the passport is no statement of format 1: {str(error).splitlines()[0]}"
        raise DataError(message) from None
    if not plain:
        message = "the passport's text is not in canonical form: one text has to have one meaning"
        raise DataError(message)
    return statement


def differences(statement: Statement, release: Release) -> list[str]:
    """List what a passport says otherwise than the release that carries it, and what of it does not hold."""
    names = ("use_case", "model_version", "repository", "manifest_sha256", "image")
    listed = [
        f"{name} is {getattr(release, name)!r}, the passport says {getattr(statement, name)!r}"
        for name in names
        if getattr(release, name) != getattr(statement, name)
    ]
    for kind in KINDS:
        proof = statement.evidence.get(kind)
        if proof is None or not proof.held:
            listed.append(f"its {kind} did not hold" if proof else f"it has no {kind}")
    return listed


def strangers(statement: Statement, evidence: Iterable[EvidenceRecorded]) -> list[str]:
    """List what a passport cites otherwise than the ledger has it, and what was found since that does not hold.

    Args:
        statement: what the passport says.
        evidence: the newest of each kind that the ledger has of its repository, and what the passport cites.
    """
    known = {each.number: each for each in evidence}
    last = newest(known.values())
    listed = []
    for kind, proof in statement.evidence.items():
        cited = known.get(proof.number)
        if cited is None or cited.kind != kind or _proof(cited) != proof:
            listed.append(f"its {kind} is not evidence {proof.number} of the ledger")
        elif not last[kind].held:
            listed.append(f"its {kind} did not hold when it was looked at again (evidence {last[kind].number})")
    return listed
