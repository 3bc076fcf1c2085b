"""The exception tree: what went wrong, whether trying again can help, and what to do.

::

    TiphysError                 a problem with a name and a remedy; printed without a traceback
     ├─ PermanentError          trying again gives the same answer   exit 65 -> Argo Failed, not retried
     │   ├─ SettingsError       a setting is missing or makes no sense
     │   ├─ DataError           the data breaks its contract
     │   └─ GateError           a model or a service missed what was asked of it
     └─ RetryableError          a server was away; again later       exit 75 -> retried, then Argo Failed

Anything else that escapes a step is a defect: it exits 1 with its traceback and is not retried.
"""

from __future__ import annotations

EXIT_PERMANENT = 65  # EX_DATAERR of sysexits.h
EXIT_RETRYABLE = 75  # EX_TEMPFAIL of sysexits.h


class TiphysError(Exception):
    """A problem that a person can act on: names the thing, what is wrong with it, and what to do."""

    exit_code = EXIT_PERMANENT


class PermanentError(TiphysError):
    """Trying again gives the same answer."""


class SettingsError(PermanentError):
    """A setting is missing or makes no sense."""


class DataError(PermanentError):
    """The data breaks its contract."""


class GateError(PermanentError):
    """A model or a service missed what was asked of it."""


class RetryableError(TiphysError):
    """A server was away or busy: the same call can succeed later."""

    exit_code = EXIT_RETRYABLE
