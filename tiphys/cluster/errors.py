"""What can go wrong with an Argo server: each error names the thing, what is wrong with it, and what to do.

::

    ClusterError             refused: nothing was changed; exit 2
     ├─ NotThereError        no object of that name in the namespace
     ├─ NoNamespaceError     the cluster has no such namespace
     ├─ ForbiddenError       the token may not do it
     ├─ ConflictError        it exists already, or was changed meanwhile
     └─ ServerAwayError      the server does not answer: the same call can succeed later
"""

from __future__ import annotations

from tiphys.errors import TiphysError


class ClusterError(TiphysError):
    """The server, or what it was asked, is not as it must be; nothing was changed."""

    exit_code = 2


class NotThereError(ClusterError):
    """There is no object of that name."""


class NoNamespaceError(ClusterError):
    """The cluster has no such namespace."""


class ForbiddenError(ClusterError):
    """The token may not do it."""


class ConflictError(ClusterError):
    """The object exists already, or was changed meanwhile."""


class ServerAwayError(ClusterError):
    """The server does not answer: the same call can succeed later."""
