"""What the release ledger's records are: the shape that its server, its client and its readers share.

It knows no database, no HTTP and no model server.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tiphys.oci.reference import IMAGE

ENVIRONMENTS = ("staging", "production")

UseCaseName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=200), Field(examples=["eta"])
]
ObservedState = Literal["serving", "failed", "loading"]
ImageName = Annotated[str, StringConstraints(pattern=rf"^(?:{IMAGE})?$", max_length=700)]
PinnedImage = Annotated[str, StringConstraints(pattern=rf"^{IMAGE}$", max_length=700)]
ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


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
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""
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


class Environment(_Record):
    """An environment now: the newest release of each use case, and what is known to be served."""

    environment: str
    generation: int
    """Generation of the newest release; 0 while there is none."""
    releases: dict[str, Recorded]
    """Use case -> its newest release."""
    observed: dict[str, Observed]
    """Model -> the agent's last report."""
