"""The status machine and store of messages: the only SQL that writes `orch`."""
