"""Validates the numbers of an uploaded contact list: E.164, country, MNO."""
