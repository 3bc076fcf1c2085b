"""S3 and Iceberg: datasets as versions."""
