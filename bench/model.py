"""How good the taxi model is on real trips, over seeds: ``python bench/model.py FOLDER [--seeds 5]``.

FOLDER holds TLC files (snake_case CSV, gzip). Trains as the step train does (last month: test, the one before: early stopping)
but in this process, without Ray, so that only the model's own quality and time are measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping

from components.train.split import Batches, Whole, tensors, whole
from tiphys.usecase import UseCase
from usecases.taxi_eta.data import FARTHEST_MILES, FASTEST_MPH, LONGEST_S, SHORTEST_S, ZONES

if TYPE_CHECKING:
    from tiphys.usecase import Array, Examples

USE_CASE = UseCase("taxi_eta")


def read(folder: Path) -> Examples:
    """Clean trips of all files, by the rules of the use case's data contract."""
    tables = [pc.read_csv(path).drop_columns(["congestion_surcharge"]) for path in sorted(folder.glob("*.csv.gz"))]
    table = pa.concat_tables(tables, promote_options="permissive")
    first, last = (table[name].to_numpy() for name in ("pickup_datetime", "dropoff_datetime"))
    seconds = (last - first).astype("timedelta64[s]").astype(np.int64)
    miles = table["trip_distance"].to_numpy()
    good = (seconds >= SHORTEST_S) & (seconds <= LONGEST_S) & (miles > 0) & (miles <= FARTHEST_MILES)
    good &= miles * 3600 < FASTEST_MPH * np.maximum(seconds, 1)
    for name in ("pickup_location_id", "dropoff_location_id"):
        good &= (table[name].to_numpy() >= 1) & (table[name].to_numpy() <= ZONES)
    return USE_CASE.past(table.append_column("duration_s", pa.array(seconds)).filter(pa.array(good)))


def train(past: Examples, latest: Array, seed: int) -> tuple[Any, float]:
    """Train once; answers with the model whose lookups know all of ``past``, and the seconds it took."""
    part = USE_CASE.part("model")
    config = dataclasses.replace(part.CONFIG, seed=seed)
    began = time.perf_counter()
    seed_everything(seed, verbose=False)
    history = past.where(~latest)
    model = part.build(config, history)
    trainer = Trainer(
        max_epochs=config.epochs,
        accelerator="cpu",
        callbacks=[EarlyStopping("validation_mae", patience=config.patience)],
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    rows = tensors(part.training_rows(config, history))
    batches = Batches(rows, config.batch_size, seed, lambda: trainer.current_epoch)
    validation = Whole(whole(past.where(latest), USE_CASE.features))
    trainer.fit(USE_CASE.part("training").learner(model, config), batches, validation)
    final = part.build(config, past)
    final.load_state_dict(dict(model.named_parameters()), strict=False)
    return final, time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--without-baselines", action="store_true")
    given = parser.parse_args()
    examples = read(given.folder)
    test_month = examples.month.max()
    past, test = examples.where(examples.month < test_month), examples.where(examples.month == test_month)
    print(
        f"{len(past):,} past trips, {len(test):,} test trips\n\n| predictor | MAE s | p95 s | seconds |\n|---|---|---|---|"
    )
    baselines = {} if given.without_baselines else USE_CASE.part("baselines").BASELINES
    for name, baseline in baselines.items():
        began = time.perf_counter()
        tell(name, baseline(past)(test.features), test, time.perf_counter() - began)
    question = [torch.from_numpy(test.features[each.name].copy()) for each in USE_CASE.features]
    found = []
    for seed in range(given.seeds):
        model, seconds = train(past, past.month == test_month - 1, seed)
        with torch.inference_mode():
            found.append(tell(f"model, seed {seed}", model(*question).numpy(), test, seconds))
    print(f"\nMAE over {given.seeds} seeds: {np.mean(found):.1f} s, from {min(found):.1f} to {max(found):.1f}")


def tell(name: str, answers: Array, test: Examples, seconds: float) -> float:
    """Print one row of the table; answers with the mean absolute error."""
    error = np.abs(answers - test.target)
    print(f"| {name} | {error.mean():.1f} | {np.percentile(error, 95):.0f} | {seconds:.1f} |", flush=True)
    return float(error.mean())


if __name__ == "__main__":
    main()
