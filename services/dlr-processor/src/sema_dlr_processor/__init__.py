"""dlr-processor: reads raw delivery reports, matches them to messages and moves the status.

Doors in:   `dlr.inbound` (RawDlrs as aggregators sent them; RematchDlrs and OverdueMessages from its own loops).
Doors out:  Postgres in batches; `webhooks.outbound` (message.delivered, message.failed, message.expired).
Writes:     `dlr`; status and events in `orch`; refunds in `billing` where the account's policy says so;
            opt-outs that were reported, added to `core.suppressions`.
Decides:    what a report says, which message it is about, whether the status climbs; when none comes any more.

What must never happen here: a report that is lost because nobody could read or match it (it is quarantined
or kept and tried again); a status that goes back; a second fact for a repeated report.
"""
