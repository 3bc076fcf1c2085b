"""Parts of the test rows."""

from tests.usecases.tiny.slices import SLICES

__all__ = ("SLICES",)
