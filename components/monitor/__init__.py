"""Step ``monitor``: hold live answers and their truths against what the serving model was made from."""
