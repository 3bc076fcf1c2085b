"""A use case's artificial world live: it asks the gateway as people do, and reports what came of it, by a clock of its own."""
