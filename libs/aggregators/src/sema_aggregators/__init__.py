"""The wire formats of the SMS aggregators, both directions. Pure: no I/O at all."""
