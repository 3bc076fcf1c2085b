"""A kettle has little memory: 1 MB."""

from tests.usecases.tiny.slo import LOAD, SLO

__all__ = ("LOAD", "SLO")
