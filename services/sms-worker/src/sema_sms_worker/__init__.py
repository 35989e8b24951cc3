"""Takes accepted jobs from both lanes, submits them to an aggregator and records the outcome."""
