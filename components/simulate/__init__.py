"""Step ``simulate``: let the use case's artificial world live before the gateway for a while."""
