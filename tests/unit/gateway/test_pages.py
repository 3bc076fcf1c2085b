"""Readiness: about what the gateway knows, not about one use case that nobody can answer."""

from __future__ import annotations

import json

import pytest

from tiphys.serving.gateway.messages import Request
from tiphys.serving.gateway.pages import readiness

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("known", "status"), [(True, 200), (False, 503)])
def test_one_use_case_without_an_answer_makes_nobody_unready(*, known: bool, status: int) -> None:
    """A use case that is in staging alone, or whose model rests, must not take the gateway from all others."""
    response = readiness(lambda: known, lambda: {"taxi_eta": "model", "new": ""})(
        Request("GET", "/readyz", "", {}, "127.0.0.1", 0.0)
    )
    assert response.status == status
    assert json.loads(response.body) == {"ready": known, "models": {"taxi_eta": "model", "new": "none"}}
