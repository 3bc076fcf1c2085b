"""What is to be computed: months by the digest of all that they are made of. Pure: no S3, no Spark.

A month is made of the contract, of this step's own rules and of the files that contribute to it, so its digest says
whether it must be computed, and the version's tag follows from the digests: same content, same tag.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from tiphys.errors import DataError
from tiphys.lake.raw import Manifest, RawFile
from tiphys.usecase import DataContract

RULES = 1
"""Number of this step's own rules of what a row is; raise it with them, and every month is computed anew."""


@dataclass(frozen=True)
class Plan:
    """The version that is wanted, and how it differs from the one that it starts from."""

    digests: Mapping[str, str]
    """month -> digest, all months of the version."""
    base: str
    """Tag of the version to start from; empty: from nothing."""
    changed: tuple[str, ...]
    """Months to compute."""
    dropped: tuple[str, ...]
    """Months of the base that the version does not have."""
    files: tuple[RawFile, ...]
    """Files to read: those that contribute to changed months."""

    @property
    def tag(self) -> str:
        """The version's name."""
        return "v-" + _digest(sorted(self.digests.items()))[:12]


def make(
    manifest: Manifest, contract: DataContract, window: tuple[str, str], versions: Mapping[str, Mapping[str, str]]
) -> Plan:
    """Plan the version of a window of months, starting from that of the existing ``versions`` that shares the most.

    Args:
        manifest: the raw files.
        contract: what a row is.
        window: first and last month, either may be empty.
        versions: tag -> month -> digest.

    Raises:
        DataError: no file has a row in the window.
    """
    digests = _digests(manifest, contract, window)
    base = max(sorted(versions), key=lambda tag: _shared(versions[tag], digests), default="")
    if base and _shared(versions[base], digests) == 0:
        base = ""
    held = versions.get(base, {})
    changed = tuple(month for month, digest in digests.items() if held.get(month) != digest)
    files = tuple(each for each in manifest.files if set(each.months) & set(changed))
    return Plan(digests, base, changed, tuple(sorted(set(held) - set(digests))), files)


def _digests(manifest: Manifest, contract: DataContract, window: tuple[str, str]) -> dict[str, str]:
    first, last = window
    rules = json.loads(json.dumps([RULES, _what_makes_rows(contract)]))
    months = manifest.by_month()
    chosen = {month: files for month, files in months.items() if first <= month and (not last or month <= last)}
    if not chosen:
        held = list(months)
        message = f"no raw file has rows of {first or '...'}..{last or '...'}; they have {held[0]}..{held[-1]}"
        raise DataError(message)
    made_of = {month: sorted([each.sha256, *each.months] for each in files) for month, files in chosen.items()}
    return {month: _digest([rules, files])[:32] for month, files in made_of.items()}


def _what_makes_rows(contract: DataContract) -> list[object]:
    columns = [[each.name, each.type] for each in contract.columns]
    aliases = [[each.name, *each.aliases] for each in contract.columns]
    derived = [[each.name, each.type, each.sql] for each in contract.derived]
    rules = [dataclasses.astuple(each) for each in contract.rules]
    return [contract.table, contract.time, columns, aliases, derived, rules]


def _shared(version: Mapping[str, str], digests: Mapping[str, str]) -> int:
    return sum(version.get(month) == digest for month, digest in digests.items())


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
