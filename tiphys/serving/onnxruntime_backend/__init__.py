"""Triton loads ``model.py`` from here by its path; nothing of this project imports it."""
