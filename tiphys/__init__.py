"""Tiphys: machine-learning pipelines on Argo Workflows, the same manifest on a laptop and on a cluster."""

__version__ = "0.1.0"
