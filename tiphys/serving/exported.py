"""An exported model: which one, and the ONNX bytes of it or of each of its parts, checked against the manifest of its repository."""

from __future__ import annotations

from dataclasses import dataclass

from tiphys.errors import DataError
from tiphys.lake.s3 import S3
from tiphys.release.client import LedgerClient
from tiphys.serving import manifest
from tiphys.settings import LedgerSettings, load
from tiphys.tracking import Tracking

_ENVIRONMENT = "production"


@dataclass(frozen=True)
class Model:
    """A model, whole."""

    version: str
    """``models:/NAME/N``."""
    manifest_sha256: str
    pieces: tuple[bytes, ...]
    """ONNX files in the order in which they are asked; one unless several models answer as one."""


def find(use_case: str, model_version: str, store: S3, ledger: LedgerSettings | None = None) -> Model:
    """Fetch the version that is named, or with an empty name the one that production serves.

    Raises:
        DataError: there is none, it was never exported, or its files are not what its manifest says.
        RetryableError: ledger, registry or S3 is away.
    """
    version, repository, digest = _named(use_case, model_version) if model_version else _serving(use_case, ledger)
    where = repository + manifest.MANIFEST
    found = manifest.parse(store.get(where), digest, where)
    pieces = []
    for path in found.onnx_paths:
        pieces.append(store.get(repository + path))
        manifest.check_digest(pieces[-1], found.files[path].sha256, repository + path)
    return Model(version, digest, tuple(pieces))


def _named(use_case: str, model_version: str) -> tuple[str, str, str]:
    version = Tracking().version(model_version)
    name = use_case.rpartition(".")[2]
    if version.name != name:
        message = f"{model_version} is a model of {version.name!r}, not of use case {name!r}"
        raise DataError(message)
    repository, digest = version.tags.get("repository", ""), version.tags.get("manifest_sha256", "")
    if not repository or not digest:
        message = f"{model_version} was never exported, so there is no ONNX file to ask: run its export step"
        raise DataError(message)
    return version.uri, repository, digest


def _serving(use_case: str, ledger: LedgerSettings | None) -> tuple[str, str, str]:
    released = LedgerClient(ledger or load(LedgerSettings)).current(_ENVIRONMENT).releases
    found = released.get(use_case)
    if found is None:
        message = (
            f"{_ENVIRONMENT} serves no model of {use_case!r} (it serves {', '.join(released) or 'none'}): "
            "name one with model-version, or run continuous-training first"
        )
        raise DataError(message)
    return found.model_version, found.repository, found.manifest_sha256
