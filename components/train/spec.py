"""What one training is, in full: its spec, the digest that names it, and where its things lie in S3.

Everything of one training lies under ``s3://checkpoints/<use case>/<digest of its inputs>/``, so the same inputs meet the
same checkpoints: a second attempt resumes, a finished training is found. Light to import: the step loads it, and the job.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tiphys import __version__
from tiphys.closure import closure
from tiphys.errors import PermanentError
from tiphys.settings import PROJECT
from tiphys.usecase import UseCase

BUCKET = "checkpoints"
_LIBRARIES = ("torch", "lightning", "numpy")


class Spec(BaseModel):
    """What the job is told, through S3. Holds no credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    dataset: str
    epochs: int | None
    seed: int | None
    recent_from: str = ""
    since: str = ""
    half_life_days: float | None = None
    digest: str
    mlflow_run: str = ""
    revision: str = "unknown"
    made_with: str = ""
    """Versions of the step's own code and libraries, for a message."""

    @property
    def asked(self) -> tuple[str | float, ...]:
        """What was asked of its window; empty for none."""
        return (self.recent_from, self.since, self.half_life_days or 0.0) if self.recent_from else ()

    @property
    def prefix(self) -> str:
        """The folder of this training in S3, with a slash at its end."""
        return f"s3://{BUCKET}/{self.use_case.rpartition('.')[2]}/{self.digest}/"

    def at(self, name: str) -> str:
        """Address of one of its objects."""
        return self.prefix + name


class Result(BaseModel):
    """What a finished training left."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mlflow_run: str
    sha256: str
    validation_mae: float
    epochs_run: int
    window: str = ""
    """Window that it learnt from, as text."""


class Refusal(BaseModel):
    """Why a job ended for a reason that a person can act on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str
    exit_code: int


SPEC, RESULT, REFUSAL = "spec.json", "result.json", "refused.json"


def digest_of(  # noqa: PLR0913, PLR0917 - all that names a training
    use_case: str,
    package: str,
    dataset: str,
    epochs: int | None,
    seed: int | None,
    window: tuple[str | float, ...] = (),
) -> str:
    """Digest of all that decides what comes out: data, settings, and the code of training and use case with all they import.

    The code itself rather than its revision: a commit elsewhere trains nothing anew, an uncommitted edit here does.
    """
    parts = [use_case, dataset, str(epochs), str(seed), *map(str, window)]
    parts += [f"{name}={importlib.metadata.version(name)}" for name in _LIBRARIES]
    inside = PROJECT.joinpath(*package.split(".")).is_dir()
    code = closure([__package__ or "components.train"], PROJECT, [package] if inside else [])
    parts += [f"{name}:{digest}" for name, digest in sorted(code.files.items()) if name.endswith(".py")]
    if not inside:
        folder = _folder(package)
        parts += [
            f"{each.name}:{hashlib.sha256(each.read_bytes()).hexdigest()}" for each in sorted(folder.glob("*.py"))
        ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def made_with() -> str:
    """Versions of what trains here, for a person."""
    return ", ".join((f"tiphys {__version__}", *(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)))


def require_same(spec: Spec, where: str) -> None:
    """Make sure that what trains here is what the spec's digest names: other code would train under its name.

    Args:
        spec: what the step asked for.
        where: whose code this is.

    Raises:
        PermanentError: code or libraries differ.
    """
    package = UseCase(spec.use_case).package
    if digest_of(spec.use_case, package, spec.dataset, spec.epochs, spec.seed, spec.asked) != spec.digest:
        message = (
            f"{where} has other code or libraries ({made_with()}) than the step train ({spec.made_with}): give head and "
            "workers of the Ray cluster the very image of the step"
        )
        raise PermanentError(message)


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return Path("/nonexistent")
    return Path(found.origin).parent
