"""Step ``integration-test``: ask staging as users would, over HTTP, gRPC and the gateway, rightly and wrongly."""
