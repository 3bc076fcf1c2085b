"""Step ``deploy-service``: start the gateway from its image, then write the images into the ledger for staging."""
