"""Questions that tell whether a server is alive; each raises when the answer is not the right one."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping

_SECONDS = 10.0


def http_ok(address: str, path: str, headers: Mapping[str, str] | None = None) -> None:
    """``GET path`` answers 200.

    Raises:
        OSError: nobody answers, or in another way.
    """
    connection = http.client.HTTPConnection(address, timeout=_SECONDS)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        message = f"http://{address}{path}: {type(error).__name__}"
        raise OSError(message) from error
    finally:
        connection.close()
    if status != http.client.OK:
        message = f"http://{address}{path} answered {status}"
        raise OSError(message)


def listens(address: str) -> None:
    """Something accepts connections.

    Raises:
        OSError: nothing does.
    """
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=_SECONDS).close()
