"""Whose figures a load test tells: those of one release, by more than its version's number."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from components.load_test.contract import Inputs
from components.load_test.step import check_asked_for, check_same
from tiphys.errors import GateError, RetryableError
from tiphys.release.records import Recorded

pytestmark = pytest.mark.unit

STAGING = Recorded(
    use_case="tiny", model_version="models:/tiny/3", repository="s3://models/tiny/3/", manifest_sha256="a" * 64,
    image="s3://models/images/tiny@sha256:" + "a" * 64, environment="staging", generation=7,
    made_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


@pytest.mark.parametrize("change", [{"generation": 8}, {"image": "s3://models/images/tiny@sha256:" + "b" * 64}])
def test_figures_of_two_releases_count_for_neither(change: dict[str, object]) -> None:
    """The same version's number on both ends proves nothing."""
    check_same(STAGING, STAGING)
    with pytest.raises(RetryableError, match="during the test"):
        check_same(STAGING, STAGING.model_copy(update=change))


@pytest.mark.parametrize("change", [{"manifest_sha256": "b" * 64}, {"model_version": "models:/tiny/4"}])
def test_another_repository_than_the_evidences_is_not_measured(change: dict[str, str]) -> None:
    """Also where its version has the same number."""
    asked = {"use_case": "tiny", "model_version": "models:/tiny/3"}
    check_asked_for(STAGING, Inputs(**asked))
    check_asked_for(STAGING, Inputs(**asked, manifest_sha256="a" * 64))
    with pytest.raises(GateError, match="staging does not serve"):
        check_asked_for(STAGING, Inputs(**{**asked, "manifest_sha256": "a" * 64, **change}))
