"""Weights as files: safetensors and nothing else, so that loading a model never runs code from it.

A model's address is ``s3://BUCKET/KEY#sha256=DIGEST`` or ``models:/NAME/NUMBER``; either way the bytes are checked
against the digest before they are loaded. Knows no use case; makes the module through the use case's own ``build``.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from tiphys.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from tiphys.lake.s3 import S3
    from tiphys.tracking import Tracking, Version
    from tiphys.usecase import UseCase

FILE = "model.safetensors"
NETWORK = "network"
KIND = "kind"
"""Note in the header of weights that are not the network's: the name of the use case's candidate that they are of."""
FOLDER = "model"
"""Folder of an MLflow run that a registered version's weights are in."""


def address(uri: str, sha256: str) -> str:
    """Name weights in S3 together with their digest."""
    return f"{uri}#sha256={sha256}"


def fetch(store: S3, model_uri: str) -> bytes:
    """Read weights that :func:`address` named.

    Raises:
        DataError: there are none, or they have another digest.
    """
    uri, _, digest = model_uri.partition("#sha256=")
    if not digest:
        message = f"{model_uri!r} names no digest: it must look like s3://BUCKET/KEY#sha256=DIGEST"
        raise DataError(message)
    return checked(store.get(uri), digest, uri)


def fetch_version(tracking: Tracking, version: Version) -> bytes:
    """Read the weights of a registered version, checked against the digest that it was registered with."""
    if not version.sha256:
        message = f"{version.uri} carries no sha256 tag: it was not registered by evaluate; train again"
        raise DataError(message)
    return tracking.artifact(version.run, f"{FOLDER}/{FILE}", version.sha256)


def checked(content: bytes, sha256: str, name: str) -> bytes:
    """Return ``content`` if it has that digest.

    Raises:
        DataError: it has another.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        message = f"{name} is damaged: its sha256 is {found}, not {sha256}; train again"
        raise DataError(message)
    return content


def dump(module: nn.Module, notes: Mapping[str, str]) -> bytes:
    """Write a module's parameters and buffers as safetensors, with notes in its header; the same in gives the same bytes."""
    from safetensors.torch import save  # noqa: PLC0415 - loads torch

    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    return _in_order(bytes(save(tensors, dict(notes))))


def _in_order(content: bytes) -> bytes:
    """Sort the notes in the header: safetensors writes them as its hash map has them, other in every process."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors are aligned to 8 bytes
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def parse(content: bytes) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Raises:
        DataError: it is no such file.
    """
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load  # noqa: PLC0415 - loads torch

    try:
        return dict(load(content))
    except SafetensorError as error:
        message = f"the weights are no safetensors file ({error}); train again"
        raise DataError(message) from error


def notes_of(content: bytes) -> dict[str, str]:
    """Read the notes in a safetensors file's header; none where it has none."""
    length = int.from_bytes(content[:8], "little")
    notes: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return notes


def load_model(use_case: UseCase, content: bytes) -> nn.Module:
    """Make the use case's model, or the candidate that its notes name, with the weights of a safetensors file, ready to be asked.

    Raises:
        DataError: the weights are of another model.
    """
    tensors = parse(content)
    module = _blank(use_case, notes_of(content).get(KIND, NETWORK), tensors)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        message = f"the weights do not fit the model of use case {use_case.name!r}: {error}; train again with this code"
        raise DataError(message) from error
    return module.eval()


def _blank(use_case: UseCase, kind: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    if kind == NETWORK:
        part = use_case.part("model")
        made: nn.Module = part.build(part.CONFIG)
        return made
    if kind not in use_case.candidates:
        message = (
            f"the weights are of a {kind!r}, which use case {use_case.name!r} does not have: see its candidates.py"
        )
        raise DataError(message)
    return use_case.candidates[kind].blank({name: tuple(each.shape) for name, each in tensors.items()})
