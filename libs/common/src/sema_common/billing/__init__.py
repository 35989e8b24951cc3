"""Who pays, at what price, and the ledger: the only SQL that writes `billing`."""
