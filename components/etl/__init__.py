"""Step ``etl``: turn raw files into a version of the use case's table, and refused rows into one of its rejects."""
