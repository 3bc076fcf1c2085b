"""Step ``ingest``: take uploaded files into the raw zone, checked and counted, under their content's digest."""
