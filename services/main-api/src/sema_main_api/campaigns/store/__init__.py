"""Every SQL statement of the campaigns module."""
