"""What goes wrong on purpose in a rehearsal: files that lost a column, and a model that is not what its papers say."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.cli.drill.stage import Stage
    from tiphys.release.records import Recorded

TORN = 3
"""Every so many rows lose their last column."""
TIMES = 1.6
"""What the swapped model multiplies every answer with."""


def tear(files: Path, into: Path) -> Path:
    """Copy raw CSV files; every third row ends before its last column, as a writer that was cut off leaves it."""
    into.mkdir()
    for source in sorted(files.glob("*.csv*")):
        opened = gzip.open if source.suffix == ".gz" else open
        with opened(source, "rt", encoding="utf-8") as lines, opened(into / source.name, "wt", encoding="utf-8") as out:
            for number, line in enumerate(lines):
                out.write(line if number % TORN or number == 0 else line.rpartition(",")[0] + "\n")
    return into


def swap(stage: Stage, good: Recorded) -> dict[str, str]:
    """Put a repository into S3 whose model answers wrongly, with the good one's evaluation and export as its papers.

    Answers with what the workflow ``ship`` is given. Nothing that is checked before the canary can tell: digests, reference
    answers and latency are those of a sound repository.
    """
    from tiphys.lake.s3 import S3
    from tiphys.release.client import LedgerClient
    from tiphys.release.records import Evidence
    from tiphys.serving import manifest, repository
    from tiphys.settings import LedgerSettings, S3Settings
    from tiphys.usecase import UseCase

    store = S3(stage.settings_of(S3Settings, "export"))
    found = manifest.parse(
        store.get(good.repository + manifest.MANIFEST), good.manifest_sha256, good.repository + manifest.MANIFEST
    )
    files = {path: store.get(good.repository + path) for path in found.files}
    use_case = UseCase(good.use_case)
    onnx, reference = _wrong(files[found.onnx_path], files[manifest.REFERENCE], use_case.target.outputs)
    made = repository.build(
        use_case, found.version, onnx, reference, variant=found.variant, fallback=files.get(manifest.FALLBACK)
    )
    where = good.repository.rstrip("/") + "-swapped/"
    for path, content in made.files.items():
        store.put(where + path, content)
    ledger = LedgerClient(stage.settings_of(LedgerSettings, "cli"))
    for evidence in ledger.weighed(good.manifest_sha256):
        if evidence.kind in {"evaluation", "export"}:
            kept = evidence.model_dump(include={"use_case", "model_version", "kind", "held", "content", "run"})
            ledger.add_evidence(Evidence(**kept, manifest_sha256=made.manifest_sha256, asked_by="drill"))
    return {
        "use-case": good.use_case,
        "model-version": good.model_version,
        "repository": where,
        "manifest-sha256": made.manifest_sha256,
    }


def _wrong(onnx: bytes, reference: bytes, outputs: tuple[str, ...]) -> tuple[bytes, Mapping[str, list[float]]]:
    """The model with every answer multiplied, and reference answers that agree with it."""
    import json

    import onnx as formats
    from onnx import TensorProto, helper

    model = formats.load_from_string(onnx)
    model.graph.initializer.append(helper.make_tensor("drill_times", TensorProto.FLOAT, [1], [TIMES]))
    named = {each.name for each in model.graph.output}
    for node in model.graph.node:
        node.output[:] = [f"{name}_true" if name in named else name for name in node.output]
        node.input[:] = [f"{name}_true" if name in named else name for name in node.input]
    model.graph.node.extend(helper.make_node("Mul", [f"{name}_true", "drill_times"], [name]) for name in sorted(named))
    answers = json.loads(reference)
    wrong = {
        name: [TIMES * value for value in values] if name in outputs else values for name, values in answers.items()
    }
    content: bytes = model.SerializeToString()
    return content, wrong
