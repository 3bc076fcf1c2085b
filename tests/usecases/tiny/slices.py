"""Parts of the test rows."""

from tiphys.usecase import Slice

SLICES: dict[str, Slice] = {
    "cold": lambda test, _past: test.features["celsius"] < 20,
    "full": lambda test, _past: test.features["litres"] > 1.2,
}
