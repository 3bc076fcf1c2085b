"""Step ``evaluate``: judge a trained model on the test month, and register it if it passes the gate."""
