"""What a model must show."""

from tests.usecases.tiny.gates import GATES

__all__ = ("GATES",)
