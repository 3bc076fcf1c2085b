"""How Spark is run by the steps that need it: its settings, its session on the lake, its executors, its failures."""
