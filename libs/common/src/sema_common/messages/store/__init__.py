"""Every SQL statement on `orch`, one module for each step of the journey that writes it."""
