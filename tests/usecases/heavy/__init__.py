"""The kettle again, with a candidate that answers best and is too large for its service level: every number is in a table."""
