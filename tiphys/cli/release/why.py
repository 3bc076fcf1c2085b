"""`tiphys release why`: the story of a release or of a version, from the ledger alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tiphys.cli.release.access import ENVIRONMENTS, add_way, ledger, the_one, trusted_keys
from tiphys.cli.release.telling import details, head, reasons, show, signature

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tiphys.release.client import LedgerClient
    from tiphys.release.records import EvidenceRecorded, Passport, Recorded

_EXAMPLES = """examples:
  tiphys release why production                  why production serves what it serves
  tiphys release why production --generation 3   why it was released that
  tiphys release why models:/taxi_eta/4          what became of a version, and what kept it out
  tiphys release why canary --use-case taxi_eta --json
"""
_MANY = 200


def add_parser(ways: Any) -> None:
    """Declare it."""
    about = "who asked, data, code, metrics, tests, canary and judgement, from the ledger alone"
    way = add_way(ways, "why", about, _EXAMPLES, main)
    way.add_argument("what", metavar="ENV|models:/NAME/N", help="an environment, or a registered version")
    way.add_argument(
        "--generation", type=int, default=0, metavar="N", help="that release of the environment, not the newest"
    )
    way.add_argument("--use-case", default="", metavar="NAME", help="which, where an environment has more than one")


def main(arguments: argparse.Namespace) -> int:
    """Tell it.

    Raises:
        PermanentError: the ledger knows no such release, nor evidence of such a version.
        RetryableError: the ledger is away.
    """
    there = ledger()
    if arguments.what in ENVIRONMENTS:
        return _why_release(there, arguments)
    return _why_version(there, arguments)


def _why_release(there: LedgerClient, arguments: argparse.Namespace) -> int:
    release, history = _chosen(there, arguments)
    evidence = _newest(there.weighed(release.manifest_sha256))
    passport = there.passport(release.passport) if release.passport else None
    if passport is not None:
        evidence = _cited(passport, evidence)
    if arguments.json:
        print(json.dumps(_document(release, evidence, passport), indent=1))
        return 0
    _tell_release(release, history, there)
    _tell_passport(release, passport, evidence)
    _tell_evidence(evidence)
    return 0


def _chosen(there: LedgerClient, arguments: argparse.Namespace) -> tuple[Recorded, Sequence[Recorded]]:
    from tiphys.errors import PermanentError

    where = arguments.what
    if arguments.generation:
        every = there.history(where, 1000)
        found = [each for each in every if each.generation == arguments.generation]
        if not found:
            message = (
                f"{where} has no generation {arguments.generation}: 'tiphys release list {where}' shows those there are"
            )
            raise PermanentError(message)
        return found[0], [each for each in every if each.use_case == found[0].use_case]
    releases = there.current(where).releases
    use_case = the_one(releases, arguments.use_case, where)
    return releases[use_case], there.history(where, 1000, use_case=use_case)


def _newest(evidence: Sequence[EvidenceRecorded]) -> list[EvidenceRecorded]:
    from tiphys.release.passport import KINDS, newest

    found = newest(evidence)
    return [found[kind] for kind in KINDS if kind in found]


def _cited(passport: Passport, evidence: list[EvidenceRecorded]) -> list[EvidenceRecorded]:
    """The evidence as the passport has it: what was true when it was signed, whatever was found out since."""
    from tiphys.errors import DataError
    from tiphys.release.passport import KINDS, parse
    from tiphys.release.records import EvidenceRecorded

    try:
        statement = parse(passport.text)
    except DataError:
        return evidence
    what = statement.model_dump(include={"use_case", "model_version", "manifest_sha256"})
    cited = statement.evidence
    return [EvidenceRecorded(**what, kind=kind, **cited[kind].model_dump()) for kind in KINDS if kind in cited]


def _document(release: Recorded, evidence: list[EvidenceRecorded], passport: Passport | None) -> dict[str, Any]:
    sound, said = signature(passport, release, trusted_keys()) if passport else (False, "")
    return {
        "release": release.model_dump(mode="json"),
        "passport": passport.model_dump(mode="json") if passport else None,
        "signature": {"sound": sound, "said": said} if passport else None,
        "evidence": [each.model_dump(mode="json") for each in evidence],
    }


def _tell_release(release: Recorded, history: Sequence[Recorded], there: LedgerClient) -> None:
    newer = [each for each in history if each.generation > release.generation]
    before = [each for each in history if each.generation < release.generation]
    verb = {"release": "was released", "rollback": "went back to", "withdrawal": "ended the traffic of"}[release.kind]
    print(f"{release.environment} {verb} {release.model_version} ({release.use_case})")
    ended = (
        f"until {newer[-1].made_at:%Y-%m-%d %H:%M:%S}, generation {newer[-1].generation}" if newer else "and still is"
    )
    rows = {
        "generation": f"{release.generation}, since {release.made_at:%Y-%m-%d %H:%M:%S} UTC, {ended}",
        "asked by": release.asked_by,
        "by run": release.run,
        "because": release.reason,
        "before it": f"{before[0].model_version} (generation {before[0].generation}, {before[0].kind})"
        if before
        else "",
        "image": release.image,
        "manifest": release.manifest_sha256,
    }
    for outcome in there.outcomes(release.environment, 1000):
        if outcome.generation == release.generation:
            rows[f"agent, {outcome.state}"] = f"{outcome.made_at:%H:%M:%S} {outcome.message}"
    show(rows)


def _tell_passport(release: Recorded, passport: Passport | None, evidence: Sequence[EvidenceRecorded]) -> None:
    rows = _origin(evidence)
    if passport is not None:
        rows["passport"] = release.passport
        rows["signature"] = signature(passport, release, trusted_keys())[1]
    elif release.environment == "production":
        rows["passport"] = "none: it was released before there were any"
    show(rows)


def _origin(evidence: Sequence[EvidenceRecorded]) -> dict[str, str]:
    said = next((each.content for each in evidence if each.kind == "evaluation"), {})
    return {"data": str(said.get("dataset", "")), "code": str(said.get("revision", ""))}


def _tell_evidence(evidence: Sequence[EvidenceRecorded]) -> None:
    from tiphys.release.passport import KINDS

    for each in evidence:
        print(f"\n  {head(each)}")
        for line in details(each):
            print(f"      {line}")
    missing = [kind for kind in KINDS if kind not in {each.kind for each in evidence}]
    if missing:
        print(f"\n  no evidence of: {', '.join(missing)}")


def _why_version(there: LedgerClient, arguments: argparse.Namespace) -> int:
    from tiphys.errors import PermanentError

    evidence = there.evidence(model_version=arguments.what, limit=_MANY)
    releases = [
        each for where in ENVIRONMENTS for each in there.history(where, 1000) if each.model_version == arguments.what
    ]
    if not evidence and not releases:
        message = f"the ledger knows nothing of {arguments.what}: 'tiphys release list' shows what it knows"
        raise PermanentError(message)
    last = _newest(evidence)
    if arguments.json:
        found = {
            "model_version": arguments.what,
            "evidence": [each.model_dump(mode="json") for each in last],
            "releases": [each.model_dump(mode="json") for each in releases],
        }
        print(json.dumps(found, indent=1))
        return 0
    _tell_version(arguments.what, last, releases)
    return 0


def _tell_version(name: str, last: Sequence[EvidenceRecorded], releases: Sequence[Recorded]) -> None:
    held_not = [each for each in last if not each.held]
    promoted = [each for each in releases if each.environment == "production"]
    verdict = "reached production" if promoted else "did not reach production"
    because = "; ".join(f"{each.kind} (evidence {each.number}): {reasons(each)}" for each in held_not)
    print(f"{name} {verdict}")
    show({"because": because, **_origin(last)})
    for each in sorted(releases, key=lambda each: each.made_at):
        made = f"{each.made_at:%Y-%m-%d %H:%M:%S}"
        print(f"  {each.environment:<16} generation {each.generation}, {each.kind}, {made} UTC: {each.reason}")
    _tell_evidence(last)
