"""The DAGs, in Hera, and nothing else."""
