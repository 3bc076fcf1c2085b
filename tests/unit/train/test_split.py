"""The time-ordered split, the batches, and the names of trainings."""

from __future__ import annotations

import pytest
import torch

from components.train.ray_job import submission_id
from components.train.spec import digest_of
from components.train.split import Batches, split
from tiphys.errors import DataError

pytestmark = pytest.mark.unit


def test_the_last_month_is_for_the_test_and_the_one_before_for_stopping() -> None:
    """Order of time decides, not order of arrival."""
    months = split(dict.fromkeys(["2019-06", "2018-12", "2019-05", "2019-01"], 100), 100, "d")
    assert (months.train, months.validation, months.test) == (("2018-12", "2019-01"), "2019-05", ("2019-06",))


def test_a_month_that_has_only_begun_is_no_test_of_its_own() -> None:
    """Live rows of the month's first days: chance would decide. Nor are they for stopping."""
    rows = {"2019-01": 900, "2019-02": 900, "2019-03": 900, "2026-10": 30, "2026-11": 12}
    months = split(rows, 100, "d")
    assert (months.train, months.validation, months.test) == (
        ("2019-01",),
        "2019-02",
        ("2019-03", "2026-10", "2026-11"),
    )
    assert split({**rows, "2026-10": 100}, 100, "d").test == ("2026-10", "2026-11")


def test_too_few_months_are_refused_with_what_there_is() -> None:
    """Two months cannot be split in three."""
    with pytest.raises(DataError, match="2019-05, 2019-06"):
        split({"2019-05": 100, "2019-06": 100}, 100, "d")


def test_an_epoch_shows_every_row_once_and_the_same_epoch_shows_the_same_batches() -> None:
    """A resumed training meets the batches that it would have met."""
    rows = {"x": torch.arange(100)}
    batches = Batches(rows, 10, seed=3, epoch=lambda: 5)
    first = [batch["x"].tolist() for batch in batches]
    assert sorted(number for batch in first for number in batch) == list(range(100))
    assert first == [batch["x"].tolist() for batch in Batches(rows, 10, seed=3, epoch=lambda: 5)]
    assert first != [batch["x"].tolist() for batch in Batches(rows, 10, seed=3, epoch=lambda: 6)]


def test_two_workers_share_the_rows_of_an_epoch() -> None:
    """No row is shown to both."""
    rows = {"x": torch.arange(100)}
    shown = [
        [number for batch in Batches(rows, 20, 3, lambda: 0, rank=rank, workers=2) for number in batch["x"].tolist()]
        for rank in (0, 1)
    ]
    assert sorted(shown[0] + shown[1]) == list(range(100))


def test_fewer_rows_than_a_batch_make_one_batch() -> None:
    """A tiny use case trains too."""
    assert [len(batch["x"]) for batch in Batches({"x": torch.arange(7)}, 4096, 0, lambda: 0)] == [7]


def test_a_job_is_named_after_run_node_and_attempt_and_nothing_odd_stays() -> None:
    """The id becomes part of a URL and of paths."""
    assert submission_id("run/1", "run/1.train(0)", 2, "abcdef0123") == "run-1.run-1.train-0-.2.abcdef01"
    assert submission_id("r", "n", 0, "a") != submission_id("r", "n", 1, "a")


def test_a_training_is_named_after_all_that_decides_its_outcome() -> None:
    """Other data, epochs or seeds are another training; the same again is the same one."""
    package = "tests.usecases.tiny"
    names = {
        digest_of(package, package, dataset, epochs, seed)
        for dataset, epochs, seed in (("a", None, None), ("b", None, None), ("a", 3, None), ("a", None, 3))
    }
    assert len(names) == 4
    assert digest_of(package, package, "a", None, None) in names
