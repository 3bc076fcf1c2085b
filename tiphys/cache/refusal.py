"""Why a step is none that can be cached: said in `why-missed`, and the step runs."""

from __future__ import annotations


class NotCachedError(Exception):
    """Something that decides what comes out can't be known; the message says what, and the remedy where there is one."""


class GoneError(Exception):
    """What a name stands for is not there, or not any more; the message says what."""
