"""What lies in a model repository and what it must hash to: the manifest, and what is refused whatever it says.

A repository is ``s3://BUCKET/.../`` with ``manifest.json``, ``reference.json`` (known questions with the model's own
answers) and, as Triton wants it, ``MODEL/config.pbtxt`` and ``MODEL/VERSION/model.onnx``. Anything else is refused: a
model that is code (a python backend) cannot get in. It knows no S3 and no Triton server.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from tiphys.errors import DataError
from tiphys.release.records import Sha256, UseCaseName

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "manifest.json"
REFERENCE = "reference.json"
MANIFEST_CAP = 64 * 1024
"""Most bytes that a manifest may have."""

_WORDS = frozenset({
    "name", "backend", "max_batch_size", "input", "output", "data_type", "dims", "version_policy", "specific",
    "versions", "instance_group", "count", "kind", "dynamic_batching", "preferred_batch_size",
    "max_queue_delay_microseconds",
    "model_warmup", "batch_size", "inputs", "key",
    "value", "zero_data", "random_data", "TYPE_INT64", "TYPE_FP32", "KIND_CPU", "KIND_GPU", "KIND_AUTO",
    "true", "false",
})  # fmt: skip
"""Every word that a served model's config.pbtxt may have; parameters, file names, libraries and ensembles are not."""

_TOKEN = re.compile(r'\s+|"[^"\\\n]*"|[A-Za-z_]\w*|\d+|[:{}\[\],]')
"""A narrow part of protobuf's text format: no comments, no escapes, no <>, no ''."""


class FileDigest(BaseModel):
    """One file's digest and size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0, le=2**31)]


class Manifest(BaseModel):
    """The files of a model repository, each with its digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    use_case: UseCaseName
    model: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,100}$")]
    """The model's name in Triton."""
    version: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}$")]
    """Its version directory: the number of the registered version."""
    files: dict[str, FileDigest]

    @model_validator(mode="after")
    def _only_these_files(self) -> Manifest:
        wanted = {self.config_path, self.onnx_path, REFERENCE}
        for path in sorted(self.files.keys() - wanted):
            message = f"file {path!r} has no place in a repository of model {self.model!r} version {self.version}"
            raise ValueError(message)
        for path in sorted(wanted - self.files.keys()):
            message = f"file {path!r} is missing"
            raise ValueError(message)
        return self

    @property
    def config_path(self) -> str:
        """Where Triton's configuration of the model lies in the repository."""
        return f"{self.model}/config.pbtxt"

    @property
    def onnx_path(self) -> str:
        """Where the model itself lies in the repository."""
        return f"{self.model}/{self.version}/model.onnx"


def parse(text: bytes, expected_sha256: str, where: str) -> Manifest:
    """Read a manifest that must hash to ``expected_sha256``.

    Raises:
        DataError: it hashes to something else (both digests are named), or it is no manifest of ours.
    """
    check_digest(text, expected_sha256, where)
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        message = f"{where} is refused: {listed}; export the model version again"
        raise DataError(message) from None


def check_digest(content: bytes, expected: str, where: str) -> None:
    """Compare content with its digest.

    Raises:
        DataError: they differ; the file and both digests are named.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise _differs(where, found, expected)


def check_file(path: Path, digest: FileDigest, where: str) -> None:
    """Compare a file with its digest, reading it piece by piece. Raises as :func:`check_digest`."""
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != digest.sha256:
        raise _differs(where, found, digest.sha256)


def check_config(text: str, manifest: Manifest, where: str) -> None:
    """Refuse a Triton configuration that asks for anything but this model in the onnxruntime backend.

    Raises:
        DataError: it does; the message says what is not allowed.
    """
    tokens = list(_tokens(text, where))
    unknown = sorted({each for each in tokens if (each[0].isalpha() or each[0] == "_") and each not in _WORDS})
    wrong = ""
    if unknown:
        wrong = f"{', '.join(unknown)} is not allowed"
    elif _values(tokens, "backend") != ['"onnxruntime"'] or tokens[:3] != ["name", ":", f'"{manifest.model}"']:
        wrong = "another name or backend"
    elif any(one[0] == other[0] == '"' for one, other in itertools.pairwise(tokens)):
        wrong = "a text in pieces"
    if wrong:
        message = f'{where} is refused ({wrong}): only name: "{manifest.model}" in backend: "onnxruntime" is served'
        raise DataError(message)


def _tokens(text: str, where: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            message = f"{where} is refused: {text[at : at + 20]!r} has no place in a served model's configuration"
            raise DataError(message)
        at = found.end()
        if not found.group().isspace():
            yield found.group()


def _values(tokens: list[str], word: str) -> list[str]:
    return [tokens[at + 2] if at + 2 < len(tokens) else "" for at, each in enumerate(tokens) if each == word]


def _differs(where: str, found: str, expected: str) -> DataError:
    message = f"{where} has sha256 {found}, its manifest says {expected}: it is corrupt or was replaced; export again"
    return DataError(message)
