"""Takes live answers and outcomes into the lake and joins them."""
