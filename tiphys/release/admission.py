"""What the ledger lets in: which releases fit their environment, and that nothing reaches users without a passport.

A role says who may write where; this says what may be written there at all, whoever writes it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tiphys.errors import DataError
from tiphys.release import passport as passports
from tiphys.release.records import EvidenceRecorded, Passport, PassportRecorded, Release
from tiphys.release.way_back import fallen, same, way_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiphys.release.store import Store
    from tiphys.release.tokens import Role

LARGEST_SHARE = 0.5
"""Most of the riders that a canary may have: it carries no passport."""
LONGEST_STAY = timedelta(hours=1)
"""Longest time that a canary's traffic may go on without being released again."""
_CLOCKS_DIFFER = timedelta(minutes=1)
_HISTORY = 1000


class Admission:
    """The rules, on one store, with the keys that are trusted."""

    def __init__(self, store: Store, keys: Sequence[str]) -> None:
        """Trust passports signed by these public keys."""
        self._store = store
        self._keys = tuple(keys)

    async def check(self, environment: str, release: Release, role: Role) -> None:
        """Let a release pass, or say why not, to a writer whose role may write its kind there.

        Raises:
            DataError: it does not fit its environment, or it lacks what it needs to serve users.
            RetryableError: the database is away.
        """
        misfit = _misfit(environment, release) or _lasting(release, datetime.now(UTC))
        if misfit:
            raise DataError(misfit)
        if release.kind == "rollback":
            await self._on_the_way(environment, release, role)
        elif release.kind == "withdrawal":
            await self._current(environment, release)
        else:
            await self._alone(environment, release)
            if environment == "production":
                await self._vouched(release)

    async def _on_the_way(self, environment: str, release: Release, role: Role) -> None:
        if not await self._store.had(environment, release):
            message = f"{environment} never had {release.model_version} with that image, manifest and passport"
            raise DataError(f"{message}: roll back to a release that 'tiphys release list {environment}' shows")
        if role != "agent":
            return
        failed = fallen(await self._store.outcomes(environment, _HISTORY))
        steps = way_back(await self._store.history(environment, _HISTORY, release.use_case), failed)
        if not any(same(release, each) for each in steps):
            listed = ", ".join(each.model_version for each in steps[1:]) or "nothing"
            message = f"an agent may go back to {listed} in {environment}, not to {release.model_version}"
            raise DataError(f"{message}, which was gone back from or never served: a person may")

    async def _current(self, environment: str, release: Release) -> None:
        newest = (await self._store.current(environment)).releases.get(release.use_case)
        if newest is None or not same(newest, release) or newest.repository != release.repository:
            found = newest.model_version if newest else "which serves nothing"
            message = f"a withdrawal names what the canary serves, {found} of {release.use_case}"
            raise DataError(f"{message}, and nothing else of it: 'tiphys release rollback canary' writes it")

    async def _alone(self, environment: str, release: Release) -> None:
        for other in (await self._store.current(environment)).releases.values():
            if other.model == release.model and other.use_case != release.use_case:
                message = f"{environment} already serves a model {other.model!r}, of {other.use_case}"
                raise DataError(f"{message}: use cases that share an environment end in different names")

    async def _vouched(self, release: Release) -> None:
        what = f"{release.model_version} may not be released into production"
        remedy = f"'tiphys release promote {release.use_case}' makes a passport from what the pipeline found out"
        if not self._keys:
            message = f"{what}: the ledger trusts no key; set TIPHYS_PASSPORT_PUBLIC_KEYS where the ledger runs"
            raise DataError(message)
        if not release.passport:
            message = f"{what} without a passport: {remedy}"
            raise DataError(message)
        found = await self._store.passport(release.passport)
        if found is None:
            message = f"{what}: the ledger has no passport {release.passport}: {remedy}"
            raise DataError(message)
        statement = self.read(found)
        faults = passports.differences(statement, release)
        faults += passports.strangers(statement, await self._weighed(release, statement))
        if faults:
            message = f"{what}, its passport does not fit: {'; '.join(faults)}: {remedy}"
            raise DataError(message)

    async def _weighed(self, release: Release, statement: passports.Statement) -> list[EvidenceRecorded]:
        cited = [each.number for each in statement.evidence.values()]
        return await self._store.weighed(release.manifest_sha256, cited)

    def read(self, found: PassportRecorded) -> passports.Statement:
        """Return what a stored passport says, its digest and signature checked.

        Raises:
            DataError: it is not what was signed by a trusted key.
        """
        if digest(found) != found.sha256:
            message = f"the text of passport {found.sha256} was altered: its sha256 is {digest(found)}"
            raise DataError(message)
        return self.sound(found.passport())

    def sound(self, passport: Passport) -> passports.Statement:
        """Return what a passport says. Raises DataError unless a trusted key signed exactly that."""
        return passports.read(passport, self._keys)


def digest(passport: Passport) -> str:
    """Return the sha256 of a passport's text, which a release names it by."""
    return hashlib.sha256(passport.text.encode()).hexdigest()


def _misfit(environment: str, release: Release) -> str:
    if release.kind == "withdrawal" and environment != "canary":
        return f"only a canary is withdrawn: release something else into {environment}, or roll back"
    steers = release.share > 0 or release.shadow > 0 or release.until is not None
    if steers and (environment != "canary" or release.kind != "release"):
        return "share, shadow and until are of a release into canary and of nothing else"
    return ""


def _lasting(release: Release, now: datetime) -> str:
    """Say what is wrong with the traffic of a release into canary."""
    if not (release.share or release.shadow):
        return ""
    if release.share > LARGEST_SHARE:
        return f"share is {release.share:g}: a canary may have at most {LARGEST_SHARE:g} of the riders"
    if release.until is None:
        return "until is missing: a canary's traffic has to end unless it is released again"
    if release.until > now + LONGEST_STAY + _CLOCKS_DIFFER:
        longest = f"{LONGEST_STAY.total_seconds() / 60:.0f} minutes"
        return f"until is {release.until:%Y-%m-%d %H:%M:%S %z}: a canary's traffic has to end within {longest} of its release"
    return ""
