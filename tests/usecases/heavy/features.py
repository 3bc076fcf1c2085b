"""Two numbers in, seconds out."""

from tests.usecases.tiny.features import COLUMNS, FEATURES, TARGET, examples

__all__ = ("COLUMNS", "FEATURES", "TARGET", "examples")
