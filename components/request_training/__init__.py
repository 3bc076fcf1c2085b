"""Step ``request-training``: ask the governor for a training, as a schedule does."""
