"""Which variant is released: the plain one unless another is clearly cheaper and answers alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.export.step import doubtful, repository_of
from components.export.variants.choose import choose, lacks
from components.export.variants.table import KINDS, Variant
from tests.usecases.tiny.slo import SLO
from tiphys.errors import GateError
from tiphys.tracking import Version

pytestmark = pytest.mark.unit

PLAIN = Variant(
    "onnx-fp32", size_mb=0.5, mae=10.0, loss=0.0, loss_at_most=0.0, worst_difference=0.0, p99_ms=1.0, rows_per_s=1e5,
    cost_one_by_one=1.0,
)  # fmt: skip


def other(cost: float, **changed: float) -> Variant:
    """Another variant that is all right but for what is given."""
    return replace(PLAIN, name="other", cost_one_by_one=cost, **changed)


@pytest.mark.parametrize("cost", [0.51, 0.9, 1.0, 1.8])
def test_a_little_cheaper_is_not_enough(cost: float) -> None:
    """What two measurements of the same may differ by must not decide what is released."""
    choice = choose([PLAIN, other(cost)], SLO)
    assert choice.name == "onnx-fp32"
    assert f"other costs {cost:.2f} of it" in choice.why


def test_clearly_cheaper_and_as_good_is_chosen_with_the_figure() -> None:
    """Half or less."""
    choice = choose([PLAIN, other(0.4), replace(other(0.3), name="worse", loss_at_most=0.02)], SLO)
    assert choice.name == "other"
    assert "costs 0.40 of onnx-fp32" in choice.why
    assert "worse may lose 2.000% of the error, 1.000% is allowed" in choice.why


def test_a_lower_error_by_luck_does_not_count_as_no_loss() -> None:
    """A variant whose answers differ is another model than the one that passed the gates, though it erred less here."""
    lucky = other(0.1, mae=9.0, loss=-0.1, loss_at_most=0.3)
    assert choose([PLAIN, lucky], SLO).name == "onnx-fp32"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"loss_at_most": 0.011}, "may lose"),
        ({"loss_at_most": float("nan")}, "may lose"),
        ({"size_mb": 1.1}, "has 1.1 MB, 1 is allowed"),
        ({"p99_ms": 1001.0}, "takes 1001.0 ms at p99"),
        ({"rows_per_s": 99.0}, "answers 99 rows/s in batches, 100 are asked for"),
        ({"served": False}, "not served"),
        ({"reason": "no GPU"}, r"not run \(no GPU\)"),
    ],
)
def test_each_demand_of_the_slo_is_held(changed: dict[str, float], reason: str) -> None:
    """A variant that misses one is not released, however cheap; what is no number misses."""
    with pytest.raises(GateError, match=reason):
        choose([other(0.01, **changed)], SLO)
    assert choose([PLAIN, other(0.01, **changed)], SLO).name == "onnx-fp32"


def test_where_the_plain_model_does_not_fit_the_cheapest_that_does_is_taken() -> None:
    """Its size is too large, say."""
    choice = choose([replace(PLAIN, size_mb=5.0), other(2.0), replace(other(1.5), name="third")], SLO)
    assert choice.name == "third"
    assert "onnx-fp32 has 5.0 MB, 1 is allowed" in choice.why


def test_what_was_not_measured_at_all_lacks_everything() -> None:
    """A row without figures is never released."""
    assert lacks(Variant("empty"), SLO)


def test_what_decides_against_the_plain_one_is_measured_again() -> None:
    """All of them where none holds: one busy moment must refuse no model; none where the plain one is chosen anyway."""
    assert doubtful([PLAIN], SLO) == []
    assert doubtful([replace(PLAIN, p99_ms=1e6)], SLO) == list(KINDS)
    cheap = replace(other(0.1), name="onnx-optimised")
    assert [each.name for each in doubtful([PLAIN, cheap], SLO)] == ["onnx-fp32", "onnx-optimised"]


def test_another_manifest_of_the_same_weights_lies_elsewhere() -> None:
    """Production's release pins the first one's digest: its files stay as they are."""
    version = Version("tiny", 3, "run", "s3://mlflow/x", {"sha256": "c" * 64})
    one, other_one = (repository_of(version, digest * 64) for digest in "ab")
    assert one != other_one
    assert one == f"s3://models/tiny/3-{'c' * 12}-{'a' * 12}/"
