"""Make a Triton model repository: the configuration, the files in their places, and the manifest of digests.

It knows the form of a repository and nothing of where it is kept or who serves it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiphys.serving.manifest import MANIFEST, REFERENCE, FileDigest, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tiphys.usecase import Feature, UseCase

TRITON_TYPES: Mapping[str, str] = {"int64": "INT64", "float32": "FP32"}
"""A feature's type -> its name in Triton's protocol."""


@dataclass(frozen=True)
class Batching:
    """How Triton gathers requests.

    There is no queue policy on purpose: any limit on Triton's queue turns off its prefetching, and then about one request
    in a hundred is left lying for 500 ms, until the batcher looks again (measured with tritonserver 2.51: p99 505 ms
    with ``max_queue_size``, 15 ms without). What waits is bounded by the gateway instead.
    """

    max_batch_size: int = 64
    max_queue_delay_us: int = 0
    instances: int = 1


def config(model: str, version: str, features: Sequence[Feature], output: str, batching: Batching | None = None) -> str:
    """Return the ``config.pbtxt`` that serves exactly ``version``; inputs and the float32 output are ``[rows, 1]``."""
    batching = batching or Batching()
    inputs = ",\n".join(
        f'  {{ name: "{each.name}" data_type: TYPE_{TRITON_TYPES[each.dtype]} dims: [ 1 ] }}' for each in features
    )
    warm = "\n".join(
        f'    inputs {{ key: "{each.name}" value: {{ data_type: TYPE_{TRITON_TYPES[each.dtype]} dims: [ 1 ] '
        "zero_data: true } }"
        for each in features
    )
    return f"""name: "{model}"
backend: "onnxruntime"
max_batch_size: {batching.max_batch_size}
input [
{inputs}
]
output [
  {{ name: "{output}" data_type: TYPE_FP32 dims: [ 1 ] }}
]
version_policy: {{ specific: {{ versions: [ {version} ] }} }}
instance_group [ {{ count: {batching.instances} kind: KIND_CPU }} ]
dynamic_batching {{
  max_queue_delay_microseconds: {batching.max_queue_delay_us}
}}
model_warmup [
  {{
    name: "one row"
    batch_size: 1
{warm}
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


def build(
    use_case: UseCase,
    version: str,
    onnx: bytes,
    reference: Mapping[str, Sequence[float]],
    batching: Batching | None = None,
) -> Repository:
    """Put a model and its reference answers in their places.

    The same inputs give the same bytes, so writing a repository twice leaves the same state.

    Args:
        use_case: whose model it is; names the model and its inputs.
        version: number of the registered version.
        onnx: the model.
        reference: one list a feature, and one under the target's name with the model's own answers.
        batching: how Triton gathers requests.
    """
    files = {
        f"{use_case.name}/config.pbtxt": config(
            use_case.name, version, use_case.features, use_case.target.name, batching
        ).encode(),
        f"{use_case.name}/{version}/model.onnx": onnx,
        REFERENCE: json.dumps(reference, sort_keys=True).encode(),
    }
    digests = {path: FileDigest(sha256=_sha256(content), bytes=len(content)) for path, content in files.items()}
    manifest = Manifest(
        use_case=use_case.package, model=use_case.name, version=version, files=dict(sorted(digests.items()))
    )
    text = (manifest.model_dump_json(indent=2) + "\n").encode()
    return Repository({**files, MANIFEST: text}, manifest, _sha256(text))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
