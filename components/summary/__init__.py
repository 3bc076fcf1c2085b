"""The exit handler's step: says in one table what a run came to."""
