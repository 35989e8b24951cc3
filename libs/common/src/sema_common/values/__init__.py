"""The words of the trade as types: pure, no I/O."""
