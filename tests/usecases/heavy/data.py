"""What a boiling is."""

from tests.usecases.tiny.data import DATA

__all__ = ("DATA",)
