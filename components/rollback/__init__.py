"""Step ``rollback``: take a refused canary out of traffic, or production back to what it served before."""
