"""Reads raw delivery reports, matches them to messages and moves the status."""
