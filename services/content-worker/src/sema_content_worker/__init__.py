"""Judges the text of a campaign before it may be sent."""
