"""What use cases say of when to train fits what a training needs."""

from __future__ import annotations

import pytest

from tiphys.lake.window import LEAST_RECENT
from tiphys.usecase import Policy, UseCase

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["taxi_eta", "tests.usecases.tiny", "tests.usecases.timed"])
def test_a_yes_has_the_rows_that_its_training_needs(name: str) -> None:
    """Or the run would be refused by its own training, and count in the budget."""
    policy: Policy = UseCase(name).part("policy").POLICY
    assert policy.min_labelled >= LEAST_RECENT
