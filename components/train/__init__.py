"""Step ``train``: fit a use case's Lightning module on Ray and leave its weights in S3."""
