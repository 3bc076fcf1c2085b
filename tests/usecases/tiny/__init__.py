"""A second use case: how long does a kettle take to boil? Shows that nothing outside a use case knows its subject."""
