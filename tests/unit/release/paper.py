"""A ledger on paper: what the client promises, in memory, with the outcomes that a test writes down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tiphys.release.client import ConflictError, LedgerClient
from tiphys.release.records import Environment, EvidenceRecorded, Observed, Outcome, Passport, Recorded, Release
from tiphys.settings import LedgerSettings

MORNING = datetime(2026, 1, 1, tzinfo=UTC)


def model(version: int, **other: Any) -> Release:
    """A release of that version."""
    fields: dict[str, Any] = {
        "image": f"s3://models/images/tiny/{version}@sha256:{version:064d}",
        "manifest_sha256": f"{version:064d}",
    }
    fields |= {"use_case": "tests.usecases.tiny", "model_version": f"models:/tiny/{version}"}
    return Release(**{"repository": f"s3://models/tiny/{version}/", **fields, **other})


class Paper(LedgerClient):
    """The ledger; whatever is released serves at once."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__(LedgerSettings(url="http://paper", token="paper"))
        self.written: list[Recorded] = []
        self.said: list[Outcome] = []
        self.found: list[EvidenceRecorded] = []
        self.passports: list[Passport] = []
        self.before_write: Callable[[], None] = lambda: None
        self._minutes = 0

    def now(self) -> datetime:
        """Each look at the clock is a minute later."""
        self._minutes += 1
        return MORNING + timedelta(minutes=self._minutes)

    def say(self, recorded: Recorded, state: Any = "serving", message: str = "") -> None:
        """What an agent reports."""
        where = {"environment": recorded.environment, "generation": recorded.generation}
        self.said.append(Outcome(**where, state=state, message=message, made_at=self.now()))

    def put(self, environment: str, release: Release) -> Recorded:
        """Write it, and let it serve."""
        return self.release(environment, release, self.current(environment).generation)

    def release(self, environment: str, release: Release, expected_generation: int) -> Recorded:
        """Write it if nobody was faster."""
        if expected_generation != self.current(environment).generation:
            raise ConflictError(environment)
        generation = expected_generation + 1
        recorded = Recorded(**release.model_dump(), environment=environment, generation=generation, made_at=self.now())
        self.written.append(recorded)
        self.say(recorded)
        return recorded

    def history(self, environment: str, limit: int = 100, *, use_case: str = "") -> list[Recorded]:
        """Newest first."""
        found = [each for each in self.written if each.environment == environment and use_case in {"", each.use_case}]
        return found[::-1][:limit]

    def outcomes(self, environment: str, limit: int = 100) -> list[Outcome]:
        """Newest first."""
        return [each for each in self.said if each.environment == environment][::-1][:limit]

    def current(self, environment: str, *, after: int | None = None, wait: float = 0.0) -> Environment:
        """The newest of each use case, and what was said last of it."""
        assert (after, wait) == (None, 0.0)
        releases = {each.use_case: each for each in self.history(environment, 1000)[::-1]}
        said = {each.generation: each for each in self.said if each.environment == environment}
        observed = {
            each.model: Observed(
                generation=each.generation, state=said[each.generation].state, model=each.model, image=each.image,
                version=each.number,
            )
            for each in releases.values()
        }  # fmt: skip
        newest = max((each.generation for each in releases.values()), default=0)
        return Environment(environment=environment, generation=newest, releases=releases, observed=observed)

    def weighed(self, manifest_sha256: str, cited: Any = ()) -> list[EvidenceRecorded]:
        """All of it."""
        del cited
        return [each for each in self.found if each.manifest_sha256 == manifest_sha256]

    def add_passport(self, passport: Passport) -> str:
        """Take it."""
        self.passports.append(passport)
        return f"{len(self.passports):064x}"
