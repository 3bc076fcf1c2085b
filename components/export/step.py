"""The work of ``export``: ONNX with proven parity, attached to the registered version, and its Triton repository.

A repository that is there and whole is proven again and kept as it is, because a release may pin its digest.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from components.export import onnx_export
from components.export.contract import Inputs, Outputs
from tiphys import model_files
from tiphys.errors import DataError, GateError
from tiphys.lake.dataset import Dataset
from tiphys.lake.s3 import S3, NotThereError
from tiphys.serving import manifest, repository
from tiphys.step import Context
from tiphys.tracking import Tracking, Version
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from torch import nn

    from tiphys.usecase import Array

ONNX_FILE = "model.onnx"
_ROWS = 2048
"""Real rows that both models are asked."""
_REFERENCE_ROWS = 32
"""Rows of them whose answers travel with the repository."""

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Export, prove, attach, lay out.

    Raises:
        GateError: ONNX and PyTorch answer too differently.
        DataError: version, weights or dataset are not there or damaged.
        RetryableError: MLflow or S3 is away.
    """
    use_case, store, tracking = UseCase(inputs.use_case), S3(), Tracking()
    version = tracking.version(inputs.model_version)
    model = model_files.load_model(use_case, model_files.fetch_version(tracking, version))
    rows = real_rows(use_case, inputs.dataset)
    answers = onnx_export.ask_torch(model, use_case, rows)
    where = repository_of(version)
    found = _kept(store, where) or _made(use_case, version, model, rows, answers)
    onnx = found.files[found.manifest.onnx_path]
    proven = onnx_export.parity(answers, onnx_export.ask_onnx(onnx, use_case, rows))
    _hold(proven, inputs, use_case, rows)
    log.info("ONNX and PyTorch differ by at most %.2g %s on %d rows", proven.largest, use_case.target.unit, proven.rows)
    tags = {"repository": where, "manifest_sha256": found.manifest_sha256, "exported_by": context.run}
    _attach(tracking, version, onnx, tags)
    for path, content in found.files.items():
        store.put(where + path, content)
    log.info("%s has the model (%.1f MB) and its manifest", where, len(onnx) / 1e6)
    return Outputs(
        repository=where,
        manifest_sha256=found.manifest_sha256,
        max_difference=proven.largest,
        rows_compared=proven.rows,
    )


def repository_of(version: Version) -> str:
    """Return where a version's Triton repository lies.

    The digest of its weights is part of the name: a registry that was thrown away counts from 1 again, and what an
    earlier one left under the same number is another model.
    """
    return f"s3://models/{version.name}/{version.number}-{version.sha256[:12]}/"


def real_rows(use_case: UseCase, dataset: str) -> dict[str, Array]:
    """Return features of rows spread evenly over the dataset's last month."""
    opened = Dataset.open(dataset)
    month = max((month for month, rows in opened.months.items() if rows), default="")
    if not month:
        message = f"dataset {dataset!r} has no rows: nothing shows that the exported model answers alike"
        raise DataError(message)
    examples = use_case.examples(opened.read(use_case.columns, [month]))
    chosen = np.unique(np.linspace(0, len(examples) - 1, _ROWS).astype(np.int64))
    return dict(examples.where(chosen).features)


def _kept(store: S3, where: str) -> repository.Repository | None:
    """Return the repository that is there already, or None when there is none or it is not whole."""
    try:
        text = store.get(where + manifest.MANIFEST)
        digest = hashlib.sha256(text).hexdigest()
        found = manifest.parse(text, digest, where)
        files = {path: store.get(where + path) for path in found.files}
        for path, content in files.items():
            manifest.check_digest(content, found.files[path].sha256, where + path)
    except NotThereError:
        return None
    except DataError as error:
        log.warning("written anew: %s", error)
        return None
    log.info("%s is there already", where)
    return repository.Repository({**files, manifest.MANIFEST: text}, found, digest)


def _made(
    use_case: UseCase, version: Version, model: nn.Module, rows: Mapping[str, Array], answers: Array
) -> repository.Repository:
    onnx = onnx_export.to_onnx(model, use_case)
    few = np.linspace(0, len(answers) - 1, min(_REFERENCE_ROWS, len(answers))).astype(np.int64)
    reference: dict[str, Any] = {name: values[few].tolist() for name, values in rows.items()}
    reference[use_case.target.name] = answers[few].tolist()
    return repository.build(use_case, str(version.number), onnx, reference)


def _hold(proven: onnx_export.Parity, inputs: Inputs, use_case: UseCase, rows: Mapping[str, Array]) -> None:
    if proven.worst <= inputs.tolerance:
        return
    row = {name: values[proven.worst_row].item() for name, values in rows.items()}
    message = (
        f"{inputs.model_version} as ONNX differs from PyTorch by {proven.largest:.4g} {use_case.target.unit} "
        f"({proven.worst:.2g} of the answer, {inputs.tolerance:g} is allowed), worst for {row}: "
        "the model uses an operation that ONNX computes otherwise"
    )
    raise GateError(message)


def _attach(tracking: Tracking, version: Version, onnx: bytes, tags: Mapping[str, str]) -> None:
    """Attach the ONNX file to the registered version, with what a reader needs to find and check the repository."""
    digest = hashlib.sha256(onnx).hexdigest()
    if version.tags.get(f"sha256.{ONNX_FILE}") != digest:
        tracking.attach(version, ONNX_FILE, onnx)
    tracking.tag_version(version, {name: value for name, value in tags.items() if version.tags.get(name) != value})
