"""Step ``check_data``: stop the pipeline when a dataset version breaks its contract or moved too far."""
