"""The steps: one folder each, contract.py + step.py + __main__.py."""
