"""The work of ``export``: ONNX with an interval and proven parity, attached to its version, and its Triton repository.

A repository that is there and whole is proven again and kept as it is, because a release may pin its digest.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.export import interval, onnx_export, status_quo
from components.export.contract import Inputs, Outputs
from components.export.shortlist import Listed, first_that_holds, listed
from components.export.variants.choose import Choice, choose
from components.export.variants.table import KINDS, Bench, Kind, Prices, Variant, middle, table
from tiphys import model_files
from tiphys.errors import DataError, GateError
from tiphys.lake import window as windows
from tiphys.lake.dataset import Dataset
from tiphys.lake.months import newest, within
from tiphys.lake.s3 import S3, NotThereError
from tiphys.lake.window import Window
from tiphys.serving import manifest, repository
from tiphys.step import Context
from tiphys.tracking import Tracking, Version
from tiphys.usecase import Examples, UseCase

if TYPE_CHECKING:
    from tiphys.usecase import Array, Slo

ONNX_FILE = "model.onnx"
_ROWS = 2048
"""Real rows that both models are asked."""
_LATEST_ROWS = 20_000
"""Most rows of the last month that are read: half for the interval, half to measure it on."""
_CALIBRATION_ROWS = 512
"""Real rows that static quantisation sees; the interval was made from them, too."""
_CONFIRMATIONS = 2
_ALIKE = 1e-4
"""Share by which two exports of the same weights may differ."""
_REFERENCE_ROWS = 32
"""Rows of them whose answers travel with the repository."""

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Export, prove, attach, lay out.

    Raises:
        GateError: ONNX and PyTorch answer too differently, or the SLO is missed, by every version that may be exported.
        DataError: version, weights or dataset are not there or damaged.
        RetryableError: MLflow or S3 is away.
    """
    use_case = UseCase(inputs.use_case)
    history, latest = held_out(use_case, inputs.dataset, inputs.window)

    def export(each: Listed) -> Outputs:
        return _exported(inputs, context, use_case, each.model_version, history, latest)

    return first_that_holds(listed(inputs), export, inputs.candidates)


def _exported(  # noqa: PLR0913, PLR0917 - all that an export is made of
    inputs: Inputs, context: Context, use_case: UseCase, model_version: str, history: Examples, latest: Examples
) -> Outputs:
    store, tracking = S3(), Tracking()
    version = tracking.version(model_version)
    model = model_files.load_model(use_case, model_files.fetch_version(tracking, version))
    made_from, measured_on = (latest.where(half) for half in interval.halves(len(latest)))
    band = interval.fit(onnx_export.ask_torch(model, use_case, made_from.features), made_from.target)
    plain = onnx_export.to_onnx(model, use_case, band)
    rows = evenly(measured_on, _ROWS).features
    answers = onnx_export.ask_torch(model, use_case, rows)
    _hold(
        onnx_export.parity(answers, onnx_export.ask_onnx(plain, use_case, rows), band), inputs, version, use_case, rows
    )
    measured, choice, onnx = _chosen(inputs, use_case, plain, made_from, measured_on)
    fallback = status_quo.fallback(use_case, history, made_from)
    found = _made(use_case, version, onnx, choice.name, fallback, measured_on)
    kept = _kept(store, version.tags.get("repository", ""), found, use_case, rows)
    where = version.tags["repository"] if kept else repository_of(version, found.manifest_sha256)
    found = kept or found
    onnx = found.files[found.manifest.onnx_path]
    proven = onnx_export.parity(answers, onnx_export.ask_onnx(onnx, use_case, rows), band)
    log.info("it differs from PyTorch by at most %.2g %s on %d rows", proven.largest, use_case.target.unit, proven.rows)
    coverage, width = _interval(onnx_export.ask_onnx(onnx, use_case, measured_on.features), measured_on.target)
    log.info("%.1f %% of %d held-out truths lie in their intervals", 100 * coverage, len(measured_on))
    tags = {"repository": where, "manifest_sha256": found.manifest_sha256, "exported_by": context.run}
    for path, content in found.files.items():
        store.put(where + path, content)
    _attach(tracking, version, onnx, tags)  # after the files: who reads the tags finds what they name
    log.info("%s has the model (%.1f MB) and its manifest", where, len(onnx) / 1e6)
    return Outputs(
        repository=where,
        manifest_sha256=found.manifest_sha256,
        model_version=version.uri,
        chosen=choice.name,
        why=choice.why,
        variants=[each.told() for each in measured],
        max_difference=proven.largest,
        rows_compared=proven.rows,
        coverage=coverage,
        interval_width=width,
    )


def repository_of(version: Version, manifest_sha256: str) -> str:
    """Return where a Triton repository of a version lies.

    The digest of its weights is part of the name: a registry that was thrown away counts from 1 again, and what an
    earlier one left under the same number is another model. So is the manifest's: the same weights with another
    variant or interval lie beside what a release may pin, never over it.
    """
    return f"s3://models/{version.name}/{version.number}-{version.sha256[:12]}-{manifest_sha256[:12]}/"


def held_out(use_case: UseCase, dataset: str, window: str = "") -> tuple[Examples, Examples]:
    """Return the rows of all months but the last, and rows spread evenly over the last month; of a window past and newest rows.

    Raises:
        DataError: the last month has no rows.
    """
    opened, chosen = Dataset.open(dataset), Window.parse(window)
    if chosen is not None:
        cut = windows.cut(windows.read(use_case, opened, chosen.since), chosen.recent_from)
        past = windows.prepared(windows.together([cut.train, cut.validation]), chosen).rows
        return past, evenly(cut.test.rows, _LATEST_ROWS)
    rows = use_case.past(opened.read(use_case.columns))
    if not len(rows):
        message = f"dataset {dataset!r} has no rows: nothing shows that the exported model answers alike"
        raise DataError(message)
    last = within(rows.month, newest(opened.months, use_case.data.min_rows_per_month))
    return rows.where(~last), evenly(rows.where(last), _LATEST_ROWS)


def evenly(examples: Examples, rows: int) -> Examples:
    """Return so many rows at most, spread evenly over all."""
    return examples.where(np.unique(np.linspace(0, len(examples) - 1, rows).astype(np.int64)))


def _interval(answers: onnx_export.Answers, truth: Array) -> tuple[float, float]:
    """Share of truths within their intervals, 0..1, and the intervals' median width in the target's unit."""
    inside = (answers.low <= truth) & (truth <= answers.high)
    return float(inside.mean()), float(np.median(answers.high - answers.low))


def _chosen(
    inputs: Inputs, use_case: UseCase, plain: bytes, made_from: Examples, measured_on: Examples
) -> tuple[list[Variant], Choice, bytes]:
    """Measure every variant and choose one; answers with the table, the choice and its bytes.

    Before another than the plain one is chosen, both are measured again, and so are all before none is good enough: a
    busy moment must not decide. Then the medians do.

    Raises:
        GateError: none is what the SLO asks for.
    """
    prices = Prices(inputs.core_hour_price, inputs.gpu_hour_price, inputs.device_hour_price)
    shown, asked = calibration(use_case, made_from), as_asked(use_case, measured_on)
    bench, slo = Bench(prices, inputs.seconds), use_case.part("slo").SLO
    found = table(plain, shown, asked, bench)
    kinds = doubtful([variant for variant, _ in found.values()], slo)
    if kinds:
        again = [table(plain, shown, asked, bench, kinds) for _ in range(_CONFIRMATIONS)]
        for each in kinds:
            rounds = [found[each.name][0], *(one[each.name][0] for one in again)]
            found[each.name] = (middle(rounds), found[each.name][1])
    choice = choose([variant for variant, _ in found.values()], slo)
    measured = [variant for variant, _ in found.values()]
    log.info("chosen: %s", choice.why)
    onnx = found[choice.name][1]
    onnx_export.check(onnx)
    return measured, choice, onnx


def doubtful(variants: Sequence[Variant], slo: Slo) -> list[Kind]:
    """Return what is to be measured again before it decides: nothing where the plain variant is chosen."""
    try:
        chosen = choose(variants, slo).name
    except GateError:
        return list(KINDS)
    plain = KINDS[0].name
    return [] if chosen == plain else [each for each in KINDS if each.name in {plain, chosen}]


def calibration(use_case: UseCase, rows: Examples) -> dict[str, Array]:
    """Return some of the rows as the model is asked: [n, 1] by input."""
    few = as_asked(use_case, evenly(rows, _CALIBRATION_ROWS)).features
    return {name: values.reshape(-1, 1) for name, values in few.items()}


def as_asked(use_case: UseCase, rows: Examples) -> Examples:
    """Return rows with exactly the model's inputs, in its order and types."""
    features = {each.name: np.asarray(rows.features[each.name], each.dtype) for each in use_case.features}
    return Examples(features, rows.target, rows.month)


def _kept(
    store: S3, where: str, made: repository.Repository, use_case: UseCase, rows: Mapping[str, Array]
) -> repository.Repository | None:
    """Return the repository that the version names already if it is whole and answers as the one just made."""
    if not where:
        return None
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
    kept = repository.Repository({**files, manifest.MANIFEST: text}, found, digest)
    if not _alike(kept, made, use_case, rows):
        log.info("%s has another form, variant or interval: another one is written beside it", where)
        return None
    log.info("%s is there already", where)
    return kept


def _alike(
    kept: repository.Repository, made: repository.Repository, use_case: UseCase, rows: Mapping[str, Array]
) -> bool:
    old, new = kept.manifest, made.manifest
    same = {"use_case", "model", "version", "variant", "inputs", "outputs"}
    if old.model_dump(include=same) != new.model_dump(include=same) or old.files.keys() != new.files.keys():
        return False
    free = {new.onnx_path, manifest.REFERENCE, manifest.MANIFEST}
    if any(kept.files[path] != content for path, content in made.files.items() if path not in free):
        return False
    said = (onnx_export.ask_onnx(each.files[new.onnx_path], use_case, rows) for each in (kept, made))
    first, second = (np.concatenate([each.value, each.low, each.high]) for each in said)
    return bool(np.allclose(first, second, rtol=_ALIKE, atol=_ALIKE))


def _made(  # noqa: PLR0913, PLR0917 - all that a repository is made of
    use_case: UseCase, version: Version, onnx: bytes, variant: str, fallback: bytes | None, rows: Examples
) -> repository.Repository:
    """Lay out a repository; the reference answers are those of this very file, whose parity is proven."""
    few = evenly(rows, _REFERENCE_ROWS).features
    answers = onnx_export.ask_onnx(onnx, use_case, few)
    reference: dict[str, Any] = {name: values.tolist() for name, values in few.items()}
    for name, values in zip(use_case.target.outputs, (answers.value, answers.low, answers.high), strict=True):
        reference[name] = values.tolist()
    accelerator = next(each.accelerator for each in KINDS if each.name == variant)
    batching = repository.Batching(accelerator=accelerator)
    return repository.build(
        use_case, str(version.number), onnx, reference, batching, variant=variant, fallback=fallback
    )


def _hold(
    proven: onnx_export.Parity, inputs: Inputs, version: Version, use_case: UseCase, rows: Mapping[str, Array]
) -> None:
    if proven.worst <= inputs.tolerance:
        return
    row = {name: values[proven.worst_row].item() for name, values in rows.items()}
    message = (
        f"{version.uri} as ONNX differs from PyTorch by {proven.largest:.4g} {use_case.target.unit} "
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
