"""What can be found in a manifest before anything runs, beyond what must be refused: each rule has a name and a severity."""
