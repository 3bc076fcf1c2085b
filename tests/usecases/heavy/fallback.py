"""Seconds by litre, when no model answers."""

from tests.usecases.tiny.fallback import answer, fit

__all__ = ("answer", "fit")
