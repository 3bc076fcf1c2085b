"""Make a Triton model repository: the configuration, the files in their places, and the manifest of digests.

It knows the form of a repository and nothing of where it is kept or who serves it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tiphys.serving import ensemble
from tiphys.serving.ensemble import TRITON_TYPES, tensors
from tiphys.serving.manifest import ENSEMBLE, FALLBACK, MANIFEST, PARTS_BATCH, REFERENCE, FileDigest, Manifest, Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tiphys.usecase import Feature, UseCase

__all__ = ["TRITON_TYPES", "Batching", "Piece", "Repository", "build", "build_ensemble", "config"]


@dataclass(frozen=True)
class Batching:
    """How Triton gathers requests, and what computes them. The defaults are what `bench/triton_sweep.py` found best.

    There is no queue policy on purpose: any limit on Triton's queue turns off its prefetching, and then about one request
    in a hundred is left lying for 500 ms, until the batcher looks again (measured with tritonserver 2.51: p99 505 ms
    with ``max_queue_size``, 15 ms without). What waits is bounded by the gateway instead.
    """

    max_batch_size: int = 64
    enabled: bool = True
    """Whether requests that wait are joined at all."""
    preferred: tuple[int, ...] = ()
    """Batch sizes that Triton waits for, up to the delay; empty: whatever waits goes at once."""
    max_queue_delay_us: int = 0
    instances: int = 1
    accelerator: Literal["", "cuda", "tensorrt"] = ""
    """What computes: the processor; the GPU by ONNX Runtime; the GPU by TensorRT behind it, which builds its engine on loading."""


def config(
    model: str, version: str, features: Sequence[Feature], outputs: Sequence[str], batching: Batching | None = None
) -> str:
    """Return the ``config.pbtxt`` that serves exactly ``version``; inputs and the float32 outputs are ``[rows, 1]``."""
    return _config(model, version, {each.name: each.dtype for each in features}, outputs, batching or Batching())


def _config(model: str, version: str, inputs: Mapping[str, str], outputs: Sequence[str], batching: Batching) -> str:
    return f"""name: "{model}"
backend: "onnxruntime"
max_batch_size: {batching.max_batch_size}
input [
{tensors(inputs)}
]
output [
{tensors(dict.fromkeys(outputs, "float32"))}
]
version_policy: {{ specific: {{ versions: [ {version} ] }} }}
instance_group [ {{ count: {batching.instances} kind: {"KIND_GPU" if batching.accelerator else "KIND_CPU"} }} ]
{_gathering(batching)}{_accelerator(batching)}{_warmup(inputs)}"""


def _gathering(batching: Batching) -> str:
    if not batching.enabled:
        return ""
    sizes = ", ".join(map(str, batching.preferred))
    preferred = f"  preferred_batch_size: [ {sizes} ]\n" if sizes else ""
    return f"dynamic_batching {{\n{preferred}  max_queue_delay_microseconds: {batching.max_queue_delay_us}\n}}\n"


def _accelerator(batching: Batching) -> str:
    if batching.accelerator != "tensorrt":
        return ""
    return 'optimization { execution_accelerators { gpu_execution_accelerator [ { name: "tensorrt" } ] } }\n'


def _warmup(inputs: Mapping[str, str]) -> str:
    rows = "\n".join(
        f'    inputs {{ key: "{name}" value: {{ data_type: TYPE_{TRITON_TYPES[dtype]} dims: [ 1 ] zero_data: true }} }}'
        for name, dtype in inputs.items()
    )
    return f"""model_warmup [
  {{
    name: "one row"
    batch_size: 1
{rows}
  }}
]
"""


@dataclass(frozen=True)
class Repository:
    """A model repository in memory: its files, and the manifest with its digest."""

    files: Mapping[str, bytes]
    """Path in the repository -> content, the manifest last."""
    manifest: Manifest
    manifest_sha256: str


def build(  # noqa: PLR0913 - all that a repository is made of
    use_case: UseCase,
    version: str,
    onnx: bytes,
    reference: Mapping[str, Sequence[float]],
    batching: Batching | None = None,
    *,
    variant: str = "",
    fallback: bytes | None = None,
) -> Repository:
    """Put a model and its reference answers in their places.

    The same inputs give the same bytes, so writing a repository twice leaves the same state.

    Args:
        use_case: whose model it is; names the model and its inputs.
        version: number of the registered version.
        onnx: the model.
        reference: one list a feature, and one for each output of the model with its own answers: under the target's name
            and, where it gives intervals, under those of its ends.
        batching: how Triton gathers requests.
        variant: which of the exported variants the model is.
        fallback: tables for an answer without any model, as ``npz``.
    """
    model, features = use_case.name, use_case.features
    outputs = [name for name in use_case.target.outputs if name in reference]
    files = {
        f"{model}/config.pbtxt": config(model, version, features, outputs, batching).encode(),
        f"{model}/{version}/model.onnx": onnx,
    }
    about = {"use_case": use_case.package, "model": model, "version": version, "variant": variant, "outputs": outputs}
    return _laid_out(files, about, features, reference, fallback)


@dataclass(frozen=True)
class Piece:
    """One of several models that answer as one."""

    name: str
    """What it is called in the use case; in Triton it is MODEL__name."""
    onnx: bytes
    inputs: Mapping[str, Literal["int64", "float32"]]
    outputs: Sequence[str]


def build_ensemble(  # noqa: PLR0913 - all that a repository is made of
    use_case: UseCase,
    version: str,
    pieces: Sequence[Piece],
    reference: Mapping[str, Sequence[float]],
    batching: Batching | None = None,
    *,
    variant: str = "",
    fallback: bytes | None = None,
) -> Repository:
    """Put several models and the ensemble that asks them in their places, and the reference answers of the whole.

    A tensor that one piece gives is taken by every later piece that has an input of that name; the use case's features come
    first, its target and the interval's ends are what comes out.

    Raises:
        ValueError: the pieces do not fit together; the message says where.
    """
    model, features = use_case.name, use_case.features
    outputs = [name for name in use_case.target.outputs if name in reference]
    inputs = {each.name: each.dtype for each in features}
    parts = {f"{model}__{each.name}": Part(inputs=dict(each.inputs), outputs=list(each.outputs)) for each in pieces}
    files = {
        f"{model}/config.pbtxt": ensemble.config(model, version, inputs, outputs, parts, PARTS_BATCH).encode(),
        f"{model}/{version}/{ENSEMBLE}": b"",
    }
    gathering = replace(batching or Batching(), max_batch_size=PARTS_BATCH)
    for each in pieces:
        name = f"{model}__{each.name}"
        files[f"{name}/config.pbtxt"] = _config(name, version, each.inputs, each.outputs, gathering).encode()
        files[f"{name}/{version}/model.onnx"] = each.onnx
    about = {
        "use_case": use_case.package, "model": model, "version": version, "variant": variant, "outputs": outputs,
        "parts": parts,
    }  # fmt: skip
    return _laid_out(files, about, features, reference, fallback)


def _laid_out(
    models: Mapping[str, bytes],
    about: Mapping[str, Any],
    features: Sequence[Feature],
    reference: Mapping[str, Sequence[float]],
    fallback: bytes | None,
) -> Repository:
    files = {
        **models,
        REFERENCE: json.dumps(reference, sort_keys=True).encode(),
        **({} if fallback is None else {FALLBACK: fallback}),
    }
    digests = {path: FileDigest(sha256=_sha256(content), bytes=len(content)) for path, content in files.items()}
    inputs = {each.name: each.dtype for each in features}
    manifest = Manifest(**about, inputs=inputs, files=dict(sorted(digests.items())))
    text = (manifest.model_dump_json(indent=2) + "\n").encode()
    return Repository({**files, MANIFEST: text}, manifest, _sha256(text))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
