"""The time-ordered split, and batches cut from tensors. Knows months and rows, no use case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tiphys.errors import DataError
from tiphys.lake.months import newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from tiphys.usecase import Array, Examples, Feature

WEIGHT = "weight"
"""Among the arrays of training rows: how often a row is seen in an epoch, on average and relative to the others."""
_LEAST_MONTHS = 3


@dataclass(frozen=True)
class Months:
    """Which months of a version are for what, each as 2019-06."""

    train: tuple[str, ...]
    validation: str
    test: tuple[str, ...]


def split(months: Mapping[str, int], least: int, dataset: str) -> Months:
    """Last month, with what has only begun after it: test. The one before: validation. All before: training.

    Args:
        months: rows by month.
        least: rows that a whole month has.
        dataset: its name, for the message.

    Raises:
        DataError: there are fewer than three months.
    """
    test = newest(months, least)
    before = sorted(month for month, rows in months.items() if rows and month not in test)
    if len(before) < _LEAST_MONTHS - 1:
        held = ", ".join(sorted(months)) or "none"
        message = (
            f"dataset {dataset!r} has the months {held}: training needs three at least, "
            "the last to test on and the one before for early stopping; ingest more"
        )
        raise DataError(message)
    return Months(tuple(before[:-1]), before[-1], test)


def tensors(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """Turn equally long arrays into tensors."""
    return {name: torch.from_numpy(values.copy()) for name, values in arrays.items()}


def whole(examples: Examples, features: Sequence[Feature]) -> dict[str, Tensor]:
    """All rows as one batch: the features and ``target``."""
    chosen = {each.name: examples.features[each.name] for each in features}
    return tensors({**chosen, "target": examples.target})


def weighted(arrays: Mapping[str, Array], rows: Examples) -> dict[str, Array]:
    """Add the rows' weight to the arrays that batches are cut from, if they have one."""
    return {**arrays} if rows.weight is None else {**arrays, WEIGHT: rows.weight}


class Batches:
    """Random batches of one worker, cut anew in each epoch; the same seed and epoch give the same batches.

    Slicing tensors: a DataLoader that collects row by row is 50 to 300 times slower (pytorch issue 106704).
    """

    def __init__(  # noqa: PLR0913 - what a batch is, and whose
        self,
        rows: Mapping[str, Tensor],
        size: int,
        seed: int,
        epoch: Callable[[], int],
        *,
        rank: int = 0,
        workers: int = 1,
    ) -> None:
        """Cut ``size`` rows a step, all workers together."""
        self._rows = {name: values for name, values in rows.items() if name != WEIGHT}
        self._weight = rows.get(WEIGHT)
        self._seed = seed
        self._epoch = epoch
        self._rank, self._workers = rank, workers
        self._length = len(next(iter(rows.values())))
        self._size = max(1, min(size, self._length) // workers)

    def __len__(self) -> int:
        """Return the number of batches of an epoch; rows that do not fill one wait for the next epoch's shuffle."""
        return max(1, self._length // (self._size * self._workers))

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Cut the batches of the current epoch."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch())
        order = self._order(generator)[self._rank :: self._workers]
        for first in range(0, len(self) * self._size, self._size):
            chosen = order[first : first + self._size]
            yield {name: values[chosen] for name, values in self._rows.items()}

    def _order(self, generator: torch.Generator) -> Tensor:
        """Row numbers of an epoch: each row once, or as often as its weight says (systematic resampling)."""
        shuffled = torch.randperm(self._length, generator=generator)
        if self._weight is None:
            return shuffled
        reached = self._weight.double().cumsum(0)
        points = (torch.rand(1, generator=generator).double() + torch.arange(self._length)) / self._length
        chosen = torch.searchsorted(reached, points * reached[-1]).clamp(max=self._length - 1)
        return chosen[shuffled]


class Whole:
    """One batch, the same in every epoch."""

    def __init__(self, batch: Mapping[str, Tensor]) -> None:
        """Keep the batch."""
        self._batch = batch

    def __len__(self) -> int:
        """Return 1."""
        return 1

    def __iter__(self) -> Iterator[Mapping[str, Tensor]]:
        """Give the batch."""
        yield self._batch
