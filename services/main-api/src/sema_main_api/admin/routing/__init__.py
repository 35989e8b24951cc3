"""Which aggregator carries what: staff's order, switches and pace, accounts' own rules, and how each is doing."""
