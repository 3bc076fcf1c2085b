"""Step ``test-code``: run the unit tests of a git revision in a clean environment."""
