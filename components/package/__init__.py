"""Step ``package``: make a container image of a model repository, without a daemon, and put it where it can be fetched."""
