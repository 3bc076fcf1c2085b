"""Step ``promote``: release into production exactly what staging serves and was tested."""
