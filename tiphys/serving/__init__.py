"""Gateway, Triton repositories and the agent beside each Triton."""
