"""The taxi model before training, its lookups, and what it may know."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tiphys.model_files import dump, load_model, parse
from tiphys.usecase import Examples, UseCase
from usecases.taxi_eta import baselines, lookups, slices
from usecases.taxi_eta.features import FEATURES
from usecases.taxi_eta.model import CONFIG, build, training_rows

pytestmark = pytest.mark.unit


def rides(rows: int, seed: int = 0) -> Examples:
    """Made-up rides between 30 zones in 2019."""
    chance = np.random.default_rng(seed)
    features = {
        "pickup_zone": chance.integers(1, 31, rows),
        "dropoff_zone": chance.integers(1, 31, rows),
        "pickup_time": chance.integers(1_546_300_800, 1_577_836_800, rows),
        "passengers": chance.integers(0, 7, rows),
        "recent_pace": chance.normal(0, 0.08, rows).astype(np.float32),
    }
    miles = 0.5 + np.abs(features["pickup_zone"] - features["dropoff_zone"]) / 4.0
    seconds = miles * 240 * chance.lognormal(0, 0.3, rows) + 60
    month = features["pickup_time"].astype("datetime64[s]").astype("datetime64[M]").astype(np.int32) + 1970 * 12
    return Examples(features, seconds.astype(np.float32), month, {"miles": miles.astype(np.float32)})


def question(examples: Examples) -> list[torch.Tensor]:
    """One tensor a feature."""
    return [torch.from_numpy(examples.features[each.name]) for each in FEATURES]


def test_before_training_the_model_is_the_status_quo_to_the_last_bit() -> None:
    """The residual starts at zero, so nothing can get worse by not training."""
    past, asked = rides(3000), rides(500, seed=1)
    answers = build(CONFIG, past)(*question(asked)).detach().numpy()
    np.testing.assert_array_equal(answers, baselines.status_quo(past)(asked.features))


def test_the_status_quo_falls_back_from_pair_and_hour_to_pair_to_hour() -> None:
    """Monday 1970-01-05 08:00; pair (1, 2) was driven at 8 and at 9, pair (3, 4) never."""
    hour = 3600
    start = 4 * 24 * hour
    past = Examples(
        {
            "pickup_zone": np.array([1, 1, 1]),
            "dropoff_zone": np.array([2, 2, 2]),
            "pickup_time": start + np.array([8, 8, 9]) * hour,
            "passengers": np.array([1, 1, 1]),
        },
        np.array([100, 200, 600], np.float32),
        np.zeros(3, np.int32),
    )
    asked = {
        "pickup_zone": np.array([1, 1, 3, 3]),
        "dropoff_zone": np.array([2, 2, 4, 4]),
        "pickup_time": start + np.array([8, 12, 9, 12]) * hour,
    }
    np.testing.assert_array_equal(baselines.status_quo(past)(asked), [150, 200, 600, 200])


def test_a_training_row_never_finds_its_own_ride_in_its_lookups() -> None:
    """The only ride of a pair changes; what that very row knows does not."""
    past = rides(600)
    alone = Examples(
        {**past.features, "dropoff_zone": np.where(np.arange(600) == 7, 200, past.features["dropoff_zone"])},
        past.target,
        past.month,
        past.hindsight,
    )
    longer = Examples(
        alone.features,
        np.where(np.arange(600) == 7, 9000, alone.target).astype(np.float32),
        alone.month,
        alone.hindsight,
    )
    before, after = training_rows(CONFIG, alone), training_rows(CONFIG, longer)
    np.testing.assert_array_equal(before["known"][7], after["known"][7])
    assert before["status_quo"][7] == after["status_quo"][7]
    assert not np.array_equal(before["known"], after["known"])


def test_the_calendar_is_the_same_in_numpy_and_in_torch() -> None:
    """2019-06-17 was a Monday."""
    moment = np.array([np.datetime64("2019-06-17T13:59:59", "s").astype(np.int64)])
    assert lookups.hour_of(moment)[0] == 13
    assert lookups.week_hour_of(moment)[0] == 13
    assert lookups.week_hour_of(torch.from_numpy(moment))[0] == 13


def test_weights_survive_a_file_and_a_model_made_without_history() -> None:
    """What export and serving load is what was trained."""
    past, asked = rides(1000), rides(50, seed=2)
    model = build(CONFIG, past)
    torch.nn.init.normal_(model.residual.weight, std=0.02)
    content = dump(model, {"use_case": "taxi_eta"})
    again = load_model(UseCase("taxi_eta"), content)
    assert set(parse(content)) == set(model.state_dict())
    assert torch.equal(again(*question(asked)), model(*question(asked)))


def test_a_zone_outside_the_map_still_gets_a_finite_answer() -> None:
    """The gateway refuses it; a model that is asked all the same must not crash."""
    model = build(CONFIG, rides(1000))
    ends = torch.tensor([-5, 99_999])
    answer = model(ends, ends, torch.tensor([1_560_000_000] * 2), torch.tensor([-1, 99]), torch.tensor([-9.0, 9.0]))
    assert bool(torch.isfinite(answer).all())


def test_every_slice_marks_rows_and_new_pairs_are_no_rare_pairs() -> None:
    """A pair is new or rare, never both."""
    past, test = rides(400), rides(300, seed=3)
    masks = {name: chosen(test, past) for name, chosen in slices.SLICES.items()}
    assert all(mask.dtype == bool and mask.shape == (300,) for mask in masks.values())
    assert not (masks["new_pair_no_past_ride"] & masks["rare_pair_1_to_4_past_rides"]).any()
    assert masks["new_pair_no_past_ride"].any()
