"""An Argo server: install templates, submit, look at runs and act on them, over its REST API.

::

    server, version = connect(Access("https://argo.example:2746", namespace="tiphys", token_file=Path("token")))
    name = server.create(manifest)["metadata"]["name"]
    for workflow in follow(server, name): ...

Workflows go in and come out as Argo's own JSON. What a run looks like to a person is the engine's and the command
line's business: this package knows neither, nor what is in a manifest beyond names and images.
"""

from tiphys.cluster.access import Access
from tiphys.cluster.errors import ClusterError, ServerAwayError
from tiphys.cluster.server import ArgoServer, connect

__all__ = ["Access", "ArgoServer", "ClusterError", "ServerAwayError", "connect"]
