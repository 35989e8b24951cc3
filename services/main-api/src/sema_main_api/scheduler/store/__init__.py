"""Every SQL statement of the scheduler module."""
