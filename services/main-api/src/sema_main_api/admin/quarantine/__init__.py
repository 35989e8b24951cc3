"""Delivery reports that nobody could read, and those whose submit nobody knows: for staff.

Doors in    HTTP: `/v1/admin/dlr-quarantine…`, `/v1/admin/dlr-unmatched`. Both are filled by dlr-processor.
Doors out   `dlr.inbound`: a body to be read again, after its adapter has learnt to
Writes      the decision columns of `dlr.quarantine`
Never       a body shown unmasked without leave and a line of the audit log; a body changed: it is evidence

A decision to read again is committed first and published after; a loop publishes what a crash kept from it.
"""
