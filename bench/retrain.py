"""How much a retraining helps on real trips after a lasting slowdown: ``python -m bench.retrain FOLDER [--change 2019-05-13 ...]``.

FOLDER holds TLC files (snake_case CSV, gzip). From each change on every trip takes ``--factor`` times as long. The old model knows
whole months before; the new ones know all trips until ``--rows`` have been seen since the change. All are asked about the seven days
after that. *Chosen* is what the step train does; the others are what it could do instead. Trains in this process, without Ray.
The oracle was trained on a past that had always been so slow.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping

from bench.model import USE_CASE, read
from components.train import choose
from components.train.split import Batches, Whole, tensors, weighted, whole
from tiphys import recent
from tiphys.lake.window import Cut, Timed, Window, cut, moment_of, prepared, together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiphys.usecase import Array, Examples

_WEEK_S = 7 * 86400.0
_MONTH_S = 30 * 86400.0
_POISON = 0.3


class _Best(Callback):  # type: ignore[misc]  # Lightning is untyped here
    """Keeps the parameters of the best epoch."""

    def __init__(self) -> None:
        self.error, self.parameters = np.inf, {}

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Look at the epoch."""
        error = float(trainer.callback_metrics["validation_mae"])
        if error < self.error:
            self.error = error
            self.parameters = {name: each.detach().clone() for name, each in pl_module.model.named_parameters()}


def train(history: Examples, validation: Examples, past: Examples) -> Any:
    """Train as the step does; the lookups of what comes out know all of ``past``."""
    part = USE_CASE.part("model")
    config = part.CONFIG
    seed_everything(config.seed, verbose=False)
    model, best = part.build(config, history), _Best()
    trainer = Trainer(
        max_epochs=config.epochs,
        accelerator="cpu",
        callbacks=[EarlyStopping("validation_mae", patience=config.patience), best],
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    rows = tensors(weighted(part.training_rows(config, history), history))
    batches = Batches(rows, config.batch_size, config.seed, lambda: trainer.current_epoch)
    trainer.fit(USE_CASE.part("training").learner(model, config), batches, Whole(whole(validation, USE_CASE.features)))
    final = part.build(config, past)
    final.load_state_dict(best.parameters, strict=False)
    return final


def by_months(rows: Examples) -> Any:
    """Train as without a change: the last month is left for the test, the one before for stopping."""
    past = rows.where(rows.month < rows.month.max())
    latest = past.month == past.month.max()
    return train(past.where(~latest), past.where(latest), past)


def windowed(made: Cut, window: Window) -> Any:
    """Train with a window, as the step train does after a change."""
    past = prepared(together([made.train, made.validation]), window).rows
    return train(prepared(made.train, window).rows, made.validation.rows, past)


def errors(model: Any, rows: Examples) -> Array:
    """Absolute error of each row in seconds."""
    question = [torch.from_numpy(rows.features[each.name].copy()) for each in USE_CASE.features]
    with torch.inference_mode():
        found: Array = np.abs(model(*question).numpy() - rows.target)
    return found


def ways(made: Cut, change: str) -> Iterator[tuple[str, Window]]:
    """What a retraining could learn from, the step's own choice last."""
    months = str(np.datetime64(change) - np.timedelta64(90, "D"))
    yield "all rows equal", Window(recent_from=change)
    yield "90 days before, equal", Window(recent_from=change, since=months)
    yield "half-life of 30 days", Window(recent_from=change, half_life_days=30.0)
    yield "half of the weight to the recent", Window(recent_from=change, recent_share=0.5)
    yield "chosen", choose.window(USE_CASE, made, choose.Asked(change))


def at(rows: Examples, change: str, factor: float) -> Timed:
    """Trips in order of time, slower since the change."""
    rows = rows.where(np.argsort(rows.features["pickup_time"], kind="stable"))
    moment = rows.features["pickup_time"].astype(np.float64)
    target = np.where(moment >= moment_of(change), factor * rows.target, rows.target).astype(np.float32)
    return Timed(served(dataclasses.replace(rows, target=target)), moment)


def served(rows: Examples) -> Examples:
    """Rows with the live feature as it would have been served in their world."""
    return rows if USE_CASE.recent is None else recent.filled(USE_CASE.recent, USE_CASE.live.moment, rows)


def compare(rows: Examples, change: str, factor: float, seen: int) -> None:
    """Print the table of one change."""
    world = at(rows, change, factor)
    first = int(np.searchsorted(world.moment, moment_of(change)))
    known = world.where(np.arange(first + seen))
    until = known.moment[-1]
    week = world.where((world.moment > until) & (world.moment <= until + _WEEK_S)).rows
    waiting = known.where(np.arange(first, first + seen)).rows
    before = known.where(known.moment < moment_of(change)).rows
    whole_months = before.where(before.month < before.month.max())
    frozen = by_months(whole_months)
    always = dataclasses.replace(before, target=(factor * before.target).astype(np.float32))
    latest = before.features["pickup_time"] >= moment_of(change) - _MONTH_S
    oracle = train(always.where(~latest), always.where(latest), always)
    old, ideal = float(errors(frozen, week).mean()), float(errors(oracle, week).mean())
    made = cut(known, change)
    level = choose.level(USE_CASE.part("baselines").strong_lookup, made.train, choose.Asked(change))
    print(
        f"\n{change}, {factor:g} times as long: {seen} trips seen since, {len(week)} in the week after "
        f"(level found: {level:.3f})\n\n| model | MAE s | against the old | excess error s until the week's end |\n|---|---|---|---|"
    )
    lost = float((errors(frozen, waiting) - errors(oracle, waiting)).sum())

    def tell(name: str, error: float) -> None:
        excess = lost + (error - ideal) * len(week)
        print(f"| {name} | {error:.1f} | {error / old:.3f} | {excess:,.0f} |", flush=True)

    tell("frozen (the old one)", old)
    for name, window in ways(made, change):
        began = time.perf_counter()
        model = windowed(made, window)
        tell(f"{name}{f' {window}' if name == 'chosen' else ''}", float(errors(model, week).mean()))
        print(f"  ({time.perf_counter() - began:.0f} s of training)", flush=True) if name == "chosen" else None
    print(f"| oracle | {ideal:.1f} | {ideal / old:.3f} | 0 |", flush=True)


def poison(rows: Examples, change: str, seen: int) -> None:
    """Print what becomes of outcomes that are false while nothing changed: a share of the recent ones is halved."""
    world = at(rows, change, 1.0)
    first = int(np.searchsorted(world.moment, moment_of(change)))
    known = world.where(np.arange(first + seen))
    false = (np.arange(len(known.moment)) >= first) & (np.random.default_rng(1).random(len(known.moment)) < _POISON)
    target = np.where(false, known.rows.target / 2, known.rows.target).astype(np.float32)
    lied = Timed(served(dataclasses.replace(known.rows, target=target)), known.moment)
    before = known.where(known.moment < moment_of(change)).rows
    champion = by_months(before.where(before.month < before.month.max()))
    made = cut(lied, change)
    candidate = windowed(made, choose.window(USE_CASE, made, choose.Asked(change)))
    week = world.where(np.arange(first + seen, first + 2 * seen)).rows
    print(
        f"\n{change}, nothing changed, {_POISON:.0%} of {seen} outcomes halved\n\n| rows | champion | candidate | gate |\n|---|---|---|---|"
    )
    for name, asked in (("newest, as reported", made.test.rows), (f"trusted holdout of {len(week)}", week)):
        theirs, ours = float(errors(champion, asked).mean()), float(errors(candidate, asked).mean())
        print(f"| {name} | {theirs:.1f} | {ours:.1f} | {'passed' if ours <= theirs else 'missed'} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--change", nargs="+", default=["2019-05-13"])
    parser.add_argument("--factor", type=float, default=1.25)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000])
    parser.add_argument("--without-poison", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(given.folder)
    for change in given.change:
        for seen in given.rows:
            compare(rows, change, given.factor, seen)
        if not given.without_poison:
            poison(rows, change, given.rows[0])


if __name__ == "__main__":
    main()
