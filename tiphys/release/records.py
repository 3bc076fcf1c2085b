"""What the release ledger's records are: the shape that its server, its client and its readers share.

It knows no database, no HTTP and no model server.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from tiphys.oci.reference import IMAGE

ENVIRONMENTS = ("staging", "canary", "production")
"""Where models serve: nobody but tests asks staging, a share of the users asks the canary, all others production."""

UseCaseName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=200), Field(examples=["eta"])
]
ObservedState = Literal["serving", "failed", "loading"]
ImageName = Annotated[str, StringConstraints(pattern=rf"^(?:{IMAGE})?$", max_length=700)]
PinnedImage = Annotated[str, StringConstraints(pattern=rf"^{IMAGE}$", max_length=700)]
ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ReleaseKind = Literal["release", "rollback", "withdrawal"]
EvidenceKind = Literal["evaluation", "export", "integration-test", "load-test", "canary", "judgement"]
"""Which steps leave evidence, by the name of their template where there is one."""
CONTENT_CAP = 64 * 1024
"""Most bytes that the content of one piece of evidence may have, as JSON."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Release(_Record):
    """What should be served for one use case: an image with a Triton repository, both pinned by digest."""

    use_case: UseCaseName
    model_version: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Registered version: ``models:/NAME/N``."""
    repository: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]*/\S+/$", max_length=500)]
    """Where the repository was made; the agent takes it from the image."""
    manifest_sha256: Sha256
    image: ImageName = ""
    """The image that holds it; empty only in releases of before there were images, which are served from copies."""
    kind: ReleaseKind = "release"
    """``withdrawal`` takes a canary's traffic away; the model it names stays loaded."""
    share: Share = 0.0
    """Part of the live questions that the canary answers, by asker; only of a release into ``canary``."""
    shadow: Share = 0.0
    """Part of the live questions that the canary is asked as well, its answers thrown away; only in ``canary``."""
    until: AwareDatetime | None = None
    """When a canary's traffic ends unless it is released again: a judge that died takes no users along."""
    passport: Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{64})?$")] = ""
    """Digest of the passport that let it through; a release into production has one."""
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""
    asked_by: Annotated[str, StringConstraints(max_length=200)] = ""
    """Who or what asked for it: a person at a command line, a schedule, an alert."""
    run: Annotated[str, StringConstraints(max_length=200)] = ""

    @property
    def model(self) -> str:
        """The model's name in Triton: the use case's name without its package."""
        return self.use_case.rpartition(".")[2]

    @property
    def number(self) -> str:
        """The version's number: the last part of its name."""
        return self.model_version.rpartition("/")[2]


class Wish(Release):
    """A release to be written if the environment still is at the generation that the writer saw."""

    expected_generation: Annotated[int, Field(ge=0)]

    def release(self) -> Release:
        """Return the release without the expectation."""
        return Release(**self.model_dump(exclude={"expected_generation"}))


class Recorded(Release):
    """A release in the ledger. Nothing changes it any more."""

    environment: str
    generation: int
    """Counts the releases of the environment, all use cases together, from 1."""
    made_at: datetime

    def release(self) -> Release:
        """Return what was asked for, without where and when it was written."""
        return Release(**self.model_dump(exclude={"environment", "generation", "made_at"}))


class ServiceRelease(_Record):
    """Which images an environment's own services run, each by digest: what a git revision became."""

    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40,64}$")]
    """Git commit that the images were built from."""
    images: Annotated[dict[ServiceName, PinnedImage], Field(min_length=1, max_length=64)]
    """Name of the image, without registry -> the image by digest."""
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""
    run: Annotated[str, StringConstraints(max_length=200)] = ""


class ServiceWish(ServiceRelease):
    """A release of services to be written if the environment's services still are at the generation that was seen."""

    expected_generation: Annotated[int, Field(ge=0)]

    def release(self) -> ServiceRelease:
        """Return the release without the expectation."""
        return ServiceRelease(**self.model_dump(exclude={"expected_generation"}))


class ServiceRecorded(ServiceRelease):
    """A release of services in the ledger. Nothing changes it any more."""

    environment: str
    generation: int
    """Counts the releases of the environment's services, from 1; models have a count of their own."""
    made_at: datetime

    def release(self) -> ServiceRelease:
        """Return what was asked for, without where and when it was written."""
        return ServiceRelease(**self.model_dump(exclude={"environment", "generation", "made_at"}))


class Observed(_Record):
    """What the agent beside the model server reports of one use case."""

    generation: Annotated[int, Field(ge=0)]
    """Generation of the release that this report is about."""
    state: ObservedState
    message: Annotated[str, StringConstraints(max_length=4000)] = ""
    model: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=200)]
    """The model's name in Triton: the use case's name without its package."""
    version: Annotated[str, StringConstraints(max_length=50)] = ""
    """The version that answers now, which after a failure is the one before; empty when none does."""
    image: ImageName = ""
    """The image that this version was taken from, by digest."""


class Outcome(_Record):
    """What became of a release, as its agent first said it. Nothing changes it any more."""

    environment: str
    generation: int
    state: ObservedState
    """``serving`` or ``failed``; one that failed was refused, and what served before went on serving."""
    message: str
    made_at: datetime


def canonical(content: Any) -> str:
    """Return JSON that is the same text for the same content: keys sorted, no blanks, Unicode as it is.

    Raises:
        ValueError: it has a number that JSON lacks (NaN, infinity).
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """Put texts in the place of numbers that JSON lacks: a candidate that says NaN has to leave evidence of it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


class Evidence(_Record):
    """What a step found out about a candidate, kept for ever: a part of the passport, or the reason for there being none."""

    use_case: UseCaseName
    model_version: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    manifest_sha256: Sha256
    """The repository that was looked at: evidence of another one counts for nothing."""
    kind: EvidenceKind
    held: bool
    content: dict[str, Any]
    """What was found, as JSON of at most 64 KiB; its keys are the step's own. Numbers that JSON lacks become texts."""
    run: Annotated[str, StringConstraints(max_length=200)] = ""
    asked_by: Annotated[str, StringConstraints(max_length=200)] = ""

    @field_validator("content")
    @classmethod
    def _is_small_json(cls, content: dict[str, Any]) -> dict[str, Any]:
        plain: dict[str, Any] = _plain(content)
        size = len(canonical(plain).encode())
        if size > CONTENT_CAP:
            message = f"has {size} bytes as JSON, {CONTENT_CAP} are allowed: leave a summary and name the artifact"
            raise ValueError(message)
        return plain


class EvidenceRecorded(Evidence):
    """Evidence in the ledger. Nothing changes it any more."""

    number: int
    """Grows with each piece of evidence, from 1."""
    made_at: datetime

    def evidence(self) -> Evidence:
        """Return what was found, without when it was written."""
        return Evidence(**self.model_dump(exclude={"number", "made_at"}))


class Passport(_Record):
    """A signed record of why a release may serve users; what is signed is the text, byte for byte."""

    text: Annotated[str, StringConstraints(min_length=2, max_length=256 * 1024)]
    """JSON; ``tiphys/release/passport.py`` says what stands in it."""
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
    """Ed25519 over the text's UTF-8 bytes, in hex."""
    public_key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """The public half of the key that signed, in hex; who verifies has to know it from elsewhere."""


class PassportRecorded(Passport):
    """A passport in the ledger. Nothing changes it any more."""

    sha256: Sha256
    """Digest of the text's UTF-8 bytes: what a release names it by."""
    made_at: datetime

    def passport(self) -> Passport:
        """Return what was signed, without when it was written."""
        return Passport(**self.model_dump(exclude={"sha256", "made_at"}))


class Environment(_Record):
    """An environment now: the newest release of each use case, and what is known to be served."""

    environment: str
    generation: int
    """Generation of the newest release; 0 while there is none."""
    releases: dict[str, Recorded]
    """Use case -> its newest release."""
    observed: dict[str, Observed]
    """Model -> the agent's last report."""
