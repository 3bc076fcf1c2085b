"""Predict how long a New York taxi ride will take, when it is asked for."""
