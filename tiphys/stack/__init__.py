"""The embedded servers, supervised."""
