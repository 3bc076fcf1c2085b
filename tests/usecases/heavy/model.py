"""The kettle's network."""

from tests.usecases.tiny.model import CONFIG, build, training_rows

__all__ = ("CONFIG", "build", "training_rows")
