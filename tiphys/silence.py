"""Why an HTTP server gave no answer, in the words of the cause: urllib3 wraps it twice."""

from __future__ import annotations

import urllib3


def silence(error: urllib3.exceptions.HTTPError) -> str:
    """Say what the last try met: `Read timed out. (read timeout=1.0)`, `[Errno 104] Connection reset by peer`."""
    cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    if isinstance(cause, urllib3.exceptions.ProtocolError) and len(cause.args) > 1:
        cause = cause.args[1]
    text = str(cause)
    where, _, said = text.partition("): ")
    return said.rpartition("connection: ")[2] if said and where.startswith("HTTP") else text
