"""Judges the text of an SMS: blocklist, evasion, encoding. Pure: no I/O at all."""
