"""Environments and the release ledger."""
