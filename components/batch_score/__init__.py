"""Scores a whole table with a model, in Spark."""
