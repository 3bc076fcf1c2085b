"""The work of ``train``: submit the job, follow it, hand on what it left. Imports nothing heavy: it mostly waits."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from components.train.contract import Inputs, Outputs
from components.train.ray_job import Ended, RayJobs, submission_id
from components.train.spec import REFUSAL, RESULT, SPEC, Refusal, Result, Spec, digest_of, made_with
from tiphys import model_files
from tiphys.errors import EXIT_RETRYABLE, PermanentError, RetryableError, TiphysError
from tiphys.lake.s3 import S3
from tiphys.tracking import Tracking
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from tiphys.step import Context

log = logging.getLogger(__name__)

_JOB = "python -m components.train.job --spec {spec}"
_MARK = "train: "
_INPUTS_TAG = "tiphys.inputs"


def run(inputs: Inputs, context: Context) -> Outputs:
    """Train, or find that the same inputs were trained already."""
    use_case = UseCase(inputs.use_case)
    store, tracking = S3(), Tracking()
    spec = Spec(**inputs.model_dump(), digest="", revision=context.revision, made_with=made_with())
    digest = digest_of(inputs.use_case, use_case.package, inputs.dataset, inputs.epochs, inputs.seed, spec.asked)
    spec = spec.model_copy(update={"digest": digest})
    finished = _finished(store, tracking, spec)
    if finished is not None:
        log.info("these inputs were trained already: MLflow run %s", finished.mlflow_run)
    result = finished or _train(use_case, spec, store, tracking, context)
    _mark_trained(inputs.dataset)
    log.info("best validation MAE %.1f after %d epochs", result.validation_mae, result.epochs_run)
    return Outputs(
        mlflow_run=result.mlflow_run,
        model_uri=model_files.address(spec.at(model_files.FILE), result.sha256),
        validation_mae=result.validation_mae,
        reused=finished is not None,
        window=result.window,
        epochs_run=result.epochs_run,
    )


def _finished(store: S3, tracking: Tracking, spec: Spec) -> Result | None:
    """What an earlier training of the same inputs left, if all of it is still there."""
    if store.find(spec.at(RESULT)) is None or store.find(spec.at(model_files.FILE)) is None:
        return None
    result = Result.model_validate_json(store.get(spec.at(RESULT)))
    return result if tracking.run(result.mlflow_run) is not None else None


def _train(use_case: UseCase, spec: Spec, store: S3, tracking: Tracking, context: Context) -> Result:
    run = _mlflow_run(tracking, use_case, spec, context)
    spec = spec.model_copy(update={"mlflow_run": run})
    store.put(spec.at(SPEC), spec.model_dump_json(indent=1).encode())
    jobs = RayJobs()
    for earlier in range(context.attempt):
        jobs.stop(submission_id(context.run, context.node, earlier, spec.digest))
    job = submission_id(context.run, context.node, context.attempt, spec.digest)
    ended, words = None, _Words()
    try:
        jobs.submit(job, _JOB.format(spec=spec.at(SPEC)), {"run": context.run, "node": context.node})
        log.info("Ray job %s, MLflow run %s", job, run)
        ended = jobs.follow(job, words)
        _check(ended, job, spec, store, words.last)
    except BaseException:
        if ended is None:
            with contextlib.suppress(TiphysError):  # a head that is away cannot be told; why is known already
                jobs.stop(job)
        tracking.end_run(run, "FAILED" if ended else "KILLED")
        raise
    tracking.end_run(run)
    return Result.model_validate_json(store.get(spec.at(RESULT)))


def _mlflow_run(tracking: Tracking, use_case: UseCase, spec: Spec, context: Context) -> str:
    """Go on with the MLflow run of these inputs, or begin one."""
    found = tracking.find_run(use_case.name, {_INPUTS_TAG: spec.digest})
    tags = {
        _INPUTS_TAG: spec.digest,
        "tiphys.dataset": spec.dataset,
        "tiphys.run": context.run,
        "mlflow.source.git.commit": spec.revision.removesuffix("-dirty"),
        "tiphys.revision": spec.revision,
        "mlflow.source.name": "components.train",
    }
    if found is None:
        return tracking.start_run(use_case.name, context.run, tags).id
    tracking.resume_run(found.id)
    tracking.set_tags(found.id, tags)
    return found.id


def _check(ended: Ended, job: str, spec: Spec, store: S3, words: str) -> None:
    if ended.status == "SUCCEEDED" and store.find(spec.at(RESULT)) is not None:
        return
    if store.find(spec.at(REFUSAL)) is not None:
        refusal = Refusal.model_validate_json(store.get(spec.at(REFUSAL)))
        raise (RetryableError if refusal.exit_code == EXIT_RETRYABLE else PermanentError)(refusal.message)
    if "No module named 'components'" in words:
        message = "the head of the Ray cluster has no Tiphys: give head and workers the very image of the step train"
        raise PermanentError(message)
    first = (ended.message.splitlines() or ["it left no result"])[0]
    message = f"Ray job {job} ended as {ended.status}: {first} {words}"
    raise (RetryableError if _is_lost(ended) else PermanentError)(message)


def _is_lost(ended: Ended) -> bool:
    """Whether the job did not fail by itself: told so by its exit code, stopped, or gone with its node."""
    first = (ended.message.splitlines() or [""])[0]
    return ended.status == "STOPPED" or f"exit code {EXIT_RETRYABLE}" in first or "supervisor" in first


class _Words:
    """Hands on what the job says, and keeps its last words; Ray's own chatter is for those who ask."""

    def __init__(self) -> None:
        self.last = ""

    def __call__(self, line: str) -> None:
        told, text = line.startswith(_MARK), line.removeprefix(_MARK)
        log.log(logging.INFO if told else logging.DEBUG, "%s", text)
        self.last = text.strip() or self.last


def _mark_trained(dataset: str) -> None:
    from tiphys.lake.dataset import mark_trained  # noqa: PLC0415 - two seconds that waiting for the job need not pay

    mark_trained(dataset)
