"""How the network is trained."""

from tests.usecases.tiny.training import learner

__all__ = ("learner",)
