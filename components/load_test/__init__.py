"""Step ``load-test``: ask staging as often as the use case expects, and hold the answers to its SLO."""
