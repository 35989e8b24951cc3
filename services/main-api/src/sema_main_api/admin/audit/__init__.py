"""The audit log, as staff read it. Written by whoever changes something (`http.store.write_audit`), never here."""
