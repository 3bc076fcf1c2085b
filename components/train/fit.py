"""What a Ray Train worker does: read, split, train with Lightning, leave the weights. Only workers load this module.

It may import the heavy libraries and knows no use case by name. Runs in as many workers as the job asks for; only the first
writes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray.train.torch  # noqa: F401 - RayDDPStrategy asks it for the device
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from ray import train as ray_train
from ray.train.collective import broadcast_from_rank_zero
from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment, prepare_trainer

from components.train import choose
from components.train import split as splits
from components.train.checkpoints import Checkpoints, Epoch
from components.train.record import Record
from components.train.spec import REFUSAL, RESULT, Refusal, Result, Spec, require_same
from tiphys import model_files
from tiphys.errors import DataError, TiphysError
from tiphys.lake import window as windows
from tiphys.lake.dataset import Dataset
from tiphys.lake.months import span, within
from tiphys.lake.s3 import S3
from tiphys.tracking import Tracking
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from torch import nn

    from tiphys.usecase import Examples, TrainConfig

log = logging.getLogger(__name__)

METRIC = "validation_mae"
_MOST_THREADS = 4
_CLIP = 1.0


def loop(told: dict[str, Any]) -> None:
    """Train what the spec says; a problem that a person can act on is written down beside it."""
    spec = Spec.model_validate(told)
    store = S3()
    _threads()
    try:
        require_same(spec, f"the Ray worker on {socket.gethostname()}")
        with _process_group():
            _train(spec, store)
    except TiphysError as error:
        refusal = Refusal(message=str(error), exit_code=error.exit_code)
        store.put(spec.at(REFUSAL), refusal.model_dump_json().encode())


def _train(spec: Spec, store: S3) -> None:
    use_case = UseCase(spec.use_case)
    config = _config(use_case.part("model").CONFIG, spec)
    rows = _rows(use_case, spec)
    first = ray_train.get_context().get_world_rank() == 0
    if first:
        _describe(spec, config, rows)
    with Record(spec.mlflow_run) as record:
        best = _fit(use_case, config, rows, Checkpoints(store, spec.prefix), record)
    if first:
        _finish(spec, store, use_case, config, rows, best)


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Past rows: to train on, to stop on, and both together; in words, how they were split; and the window, as text."""

    train: Examples
    validation: Examples
    past: Examples
    split: dict[str, str]
    window: str = ""


def _rows(use_case: UseCase, spec: Spec) -> _Rows:
    """Split by months, or by time where the world changed."""
    dataset = Dataset.open(spec.dataset)
    if spec.recent_from:
        return _since_the_change(use_case, dataset, spec)
    months = splits.split(dataset.months, use_case.data.min_rows_per_month, spec.dataset)
    past = use_case.past(dataset.read(use_case.columns, [*months.train, months.validation]))
    latest = within(past.month, [months.validation])
    split = {"train_months": f"{months.train[0]}..{months.train[-1]}", "validation_month": months.validation}
    return _Rows(past.where(~latest), past.where(latest), past, {**split, "test_month": span(months.test)})


def _since_the_change(use_case: UseCase, dataset: Dataset, spec: Spec) -> _Rows:
    cut = windows.cut(windows.read(use_case, dataset, spec.since), spec.recent_from)
    window = choose.window(use_case, cut, choose.Asked(spec.recent_from, spec.since, spec.half_life_days))
    past = windows.prepared(windows.together([cut.train, cut.validation]), window).rows
    train = windows.prepared(cut.train, window).rows
    return _Rows(train, cut.validation.rows, past, {"window": str(window)}, str(window))


@dataclasses.dataclass(frozen=True)
class _Best:
    """The best epoch, its parameters, and how many epochs there were."""

    epoch: Epoch
    parameters: dict[str, torch.Tensor]
    epochs_run: int


def _fit(use_case: UseCase, config: TrainConfig, rows: _Rows, checkpoints: Checkpoints, record: Record) -> _Best:
    seed_everything(config.seed, verbose=False)
    part = use_case.part("model")
    model = part.build(config, rows.train)
    learner: LightningModule = use_case.part("training").learner(model, config)
    learner.strict_loading = False  # checkpoints lack the buffers
    saver = _Saver(checkpoints, record)
    trainer = prepare_trainer(
        Trainer(
            max_epochs=config.epochs,
            accelerator="cpu",
            devices="auto",
            strategy=RayDDPStrategy(),
            plugins=[RayLightningEnvironment()],
            callbacks=[EarlyStopping(METRIC, patience=config.patience, mode="min"), saver],
            gradient_clip_val=_CLIP,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )
    )
    context = ray_train.get_context()
    batches = splits.Batches(
        splits.tensors(splits.weighted(part.training_rows(config, rows.train), rows.train)),
        config.batch_size,
        config.seed,
        lambda: trainer.current_epoch,
        rank=context.get_world_rank(),
        workers=context.get_world_size(),
    )
    with tempfile.TemporaryDirectory() as folder:
        resume = _resume(checkpoints, Path(folder))
        trainer.fit(learner, batches, splits.Whole(splits.whole(rows.validation, use_case.features)), ckpt_path=resume)
    return _best(checkpoints, learner, model)


def _resume(checkpoints: Checkpoints, folder: Path) -> Path | None:
    found = checkpoints.last()
    if found is None:
        return None
    epoch, content = found
    log.info("resuming after epoch %d", epoch.epoch)
    path = folder / "resume.ckpt"
    path.write_bytes(content)
    return path


def _best(checkpoints: Checkpoints, learner: LightningModule, model: nn.Module) -> _Best:
    """Load the parameters of the epoch with the lowest validation error whose checkpoint is whole."""
    epochs = checkpoints.epochs()
    for epoch in sorted(epochs, key=lambda each: each.validation_mae):
        content = checkpoints.read(epoch)
        if content is not None:
            state = torch.load(io.BytesIO(content), weights_only=True)["state_dict"]
            learner.load_state_dict(state, strict=False)
            parameters = {name: value.detach().clone() for name, value in model.named_parameters()}
            return _Best(epoch, parameters, len(epochs))
    message = "no epoch left a whole checkpoint: see the object store's log, then train again"
    raise DataError(message)


def _finish(spec: Spec, store: S3, use_case: UseCase, config: TrainConfig, rows: _Rows, best: _Best) -> None:  # noqa: PLR0913, PLR0917
    """Put the learnt parameters into a model whose lookups know the validation month too, and leave its weights."""
    final = use_case.part("model").build(config, rows.past)
    unknown = final.load_state_dict(best.parameters, strict=False).unexpected_keys
    if unknown:
        message = f"use case {use_case.name!r}: build gives other parameters for other rows: {', '.join(unknown)}"
        raise DataError(message)
    notes = {"use_case": use_case.name, "dataset": spec.dataset, "revision": spec.revision}
    sha256 = store.put(spec.at(model_files.FILE), model_files.dump(final, notes))
    result = Result(
        mlflow_run=spec.mlflow_run,
        sha256=sha256,
        validation_mae=best.epoch.validation_mae,
        epochs_run=best.epochs_run,
        window=rows.window,
    )
    Tracking().log_metrics(spec.mlflow_run, {"best_validation_mae": best.epoch.validation_mae}, best.epoch.epoch)
    store.put(spec.at(RESULT), result.model_dump_json(indent=1).encode())


def _describe(spec: Spec, config: TrainConfig, rows: _Rows) -> None:
    tracking = Tracking()
    settings = dataclasses.asdict(config)
    counts = {"train_rows": len(rows.train), "validation_rows": len(rows.validation)}
    tracking.log_params(spec.mlflow_run, {**settings, **rows.split, **counts})
    tracking.log_dataset(spec.mlflow_run, spec.dataset, len(rows.past), "training")


class _Saver(Callback):  # type: ignore[misc]  # Lightning is untyped here
    """After each epoch: parameters and optimiser to S3, figures to MLflow. Buffers are not saved: data gives them back."""

    def __init__(self, checkpoints: Checkpoints, record: Record) -> None:
        self._checkpoints = checkpoints
        self._record = record
        self._began = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 - Lightning's
        """Start the epoch's clock."""
        self._began = time.monotonic()

    def on_save_checkpoint(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Leave out what is computed from data."""
        for name in dict(pl_module.named_buffers()):
            checkpoint["state_dict"].pop(name, None)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Save and record the epoch."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "epoch.ckpt"
            trainer.save_checkpoint(path)
            content = path.read_bytes() if trainer.is_global_zero else b""
        if not trainer.is_global_zero:
            return
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        seconds = time.monotonic() - self._began
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        epoch = Epoch(
            epoch=trainer.current_epoch,
            sha256=hashlib.sha256(content).hexdigest(),
            validation_mae=found[METRIC],
            train_mae=found.get("train_mae"),
            seconds=seconds,
        )
        self._checkpoints.save(epoch, content)
        self._record.metrics({**found, "epoch_seconds": seconds, "learning_rate": rate}, epoch.epoch)


def _config(config: TrainConfig, spec: Spec) -> TrainConfig:
    given = {"epochs": spec.epochs, "seed": spec.seed}
    return dataclasses.replace(config, **{name: value for name, value in given.items() if value is not None})


def _threads() -> None:
    """Use the cores that there are: Ray sets one thread a worker, and unset ones fight (26 s became 1,012 s)."""
    torch.set_num_threads(min(_MOST_THREADS, len(os.sched_getaffinity(0))))


class _process_group:  # noqa: N801 - reads as a statement
    """Torch's process group over all workers; Ray's own TorchConfig would load torch in two more processes for it."""

    def __enter__(self) -> None:
        context = ray_train.get_context()
        address, port = broadcast_from_rank_zero(_free_address())
        torch.distributed.init_process_group(
            "gloo",
            init_method=f"tcp://{address}:{port}",
            rank=context.get_world_rank(),
            world_size=context.get_world_size(),
        )

    def __exit__(self, *_: object) -> None:
        torch.distributed.destroy_process_group()


def _free_address() -> tuple[str, int]:
    import ray  # noqa: PLC0415

    address = ray.util.get_node_ip_address()
    with socket.socket() as free:
        free.bind((address, 0))
        return address, int(free.getsockname()[1])
