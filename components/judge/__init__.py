"""Step ``judge``: weigh all evidence of a candidate, and say whether it is promoted or rolled back."""
