"""Step ``deploy``: write a release into the ledger and wait until the environment's model server answers with it."""
