"""What lies in a model repository and what it must hash to: the manifest, and what is refused whatever it says.

A repository is ``s3://BUCKET/.../`` with ``manifest.json``, ``reference.json`` (known questions with the model's own
answers), perhaps ``fallback.npz`` (tables for an answer without any model) and, as Triton wants it, ``MODEL/config.pbtxt``
and ``MODEL/VERSION/model.onnx``. Where several models answer as one, each part has the same two files in a folder of its own,
and ``MODEL/`` is the ensemble. Anything else is refused: a model that is code (a python backend) cannot get in. It knows no S3 and
no Triton server.
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
from tiphys.serving import ensemble

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "manifest.json"
REFERENCE = "reference.json"
FALLBACK = "fallback.npz"
MANIFEST_CAP = 64 * 1024
"""Most bytes that a manifest may have."""

_WORDS = frozenset({
    "name", "backend", "max_batch_size", "input", "output", "data_type", "dims", "version_policy", "specific",
    "versions", "instance_group", "count", "kind", "dynamic_batching", "preferred_batch_size",
    "max_queue_delay_microseconds", "optimization", "execution_accelerators", "gpu_execution_accelerator",
    "model_warmup", "batch_size", "inputs", "key",
    "value", "zero_data", "random_data", "TYPE_INT64", "TYPE_FP32", "KIND_CPU", "KIND_GPU", "KIND_AUTO",
    "true", "false",
})  # fmt: skip
"""Every word that a served model's config.pbtxt may have; parameters, file names and libraries are not. An ensemble's is not read
but compared: it must be, to the letter, what its manifest makes of it."""

ENSEMBLE = "ensemble"
"""Empty file in the version's folder of an ensemble: Triton wants the folder, and a repository has only files."""
PARTS_BATCH = 64
"""Most rows that an ensemble takes at once, and therefore each of its parts."""

_TOKEN = re.compile(r'\s+|"[^"\\\n]*"|[A-Za-z_]\w*|\d+|[:{}\[\],]')
"""A narrow part of protobuf's text format: no comments, no escapes, no <>, no ''."""


ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,100}$")]
TensorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,100}$")]


class FileDigest(BaseModel):
    """One file's digest and size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0, le=2**31)]


class Part(BaseModel):
    """What one of several models takes and gives; all tensors are [rows, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: dict[TensorName, Literal["int64", "float32"]]
    outputs: list[TensorName]
    """float32."""


class Manifest(BaseModel):
    """The files of a model repository, each with its digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    use_case: UseCaseName
    model: ModelName
    """The model's name in Triton."""
    version: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}$")]
    """Its version directory: the number of the registered version."""
    variant: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{0,40}$")] = ""
    """Which of the exported variants the model is; empty in repositories from before there were any."""
    inputs: dict[TensorName, Literal["int64", "float32"]] = {}
    """The model's inputs, each [rows, 1], in order; empty in older repositories."""
    outputs: list[TensorName] = []
    """Its outputs, each float32 [rows, 1]: the answer and, where it has one, the interval's ends; empty in older repositories."""
    parts: dict[ModelName, Part] = {}
    """Models that answer together as this one, in the order in which they are asked, under names that begin with MODEL__; empty
    where the model is one."""
    files: dict[str, FileDigest]

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Manifest:
        strangers = [each for each in self.parts if not each.startswith(f"{self.model}__")]
        wrong = f"part {strangers[0]!r} is none of {self.model}__*" if strangers else ""
        if self.parts:
            wrong = wrong or ensemble.wrong_wiring(self.inputs, self.outputs, self.parts)
        if wrong:
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _only_these_files(self) -> Manifest:
        wanted = {REFERENCE, *(f"{each}/config.pbtxt" for each in self.folders), *self.model_paths}
        for path in sorted(self.files.keys() - wanted - {FALLBACK}):
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
        """Where the model itself lies in the repository, if it is one model."""
        return f"{self.model}/{self.version}/model.onnx"

    @property
    def folders(self) -> tuple[str, ...]:
        """Every model's folder that Triton must see, the one that is asked last."""
        return (*self.parts, self.model)

    @property
    def model_paths(self) -> tuple[str, ...]:
        """What lies in their folders of versions."""
        return (*self.onnx_paths, *((f"{self.model}/{self.version}/{ENSEMBLE}",) if self.parts else ()))

    @property
    def onnx_paths(self) -> tuple[str, ...]:
        """Where the model lies, or each of several, in the order in which they are asked."""
        return tuple(f"{each}/{self.version}/model.onnx" for each in self.parts) or (self.onnx_path,)


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


def check_config(text: str, manifest: Manifest, where: str, model: str = "") -> None:
    """Refuse a Triton configuration that asks for anything but a model of the manifest in the onnxruntime backend.

    An ensemble's must be exactly what :mod:`tiphys.serving.ensemble` makes of the manifest.

    Args:
        text: the configuration.
        manifest: whose it is.
        where: what the message calls it.
        model: of which of the manifest's folders it is; empty: of the one that is asked.

    Raises:
        DataError: it does; the message says what is not allowed.
    """
    model = model or manifest.model
    if manifest.parts and model == manifest.model:
        _check_ensemble(text, manifest, where)
        return
    tokens = list(_tokens(text, where))
    unknown = sorted({each for each in tokens if (each[0].isalpha() or each[0] == "_") and each not in _WORDS})
    wrong = ""
    if unknown:
        wrong = f"{', '.join(unknown)} is not allowed"
    elif _values(tokens, "backend") != ['"onnxruntime"'] or tokens[:3] != ["name", ":", f'"{model}"']:
        wrong = "another name or backend"
    elif any(one[0] == other[0] == '"' for one, other in itertools.pairwise(tokens)):
        wrong = "a text in pieces"
    if wrong:
        message = f'{where} is refused ({wrong}): only name: "{model}" in backend: "onnxruntime" is served'
        raise DataError(message)


def _check_ensemble(text: str, manifest: Manifest, where: str) -> None:
    wanted = ensemble.config(
        manifest.model, manifest.version, manifest.inputs, manifest.outputs, manifest.parts, PARTS_BATCH
    )
    if text != wanted:
        message = (
            f"{where} is refused: it is not the ensemble of {', '.join(manifest.parts)} that its manifest describes"
        )
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
