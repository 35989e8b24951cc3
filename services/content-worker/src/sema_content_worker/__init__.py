"""content-worker: judges the template of a campaign before any of its messages may be made.

Doors in:   `sms.content` (ScreenCampaign: the id of a campaign; its text stays in Postgres).
Doors out:  `webhooks.outbound` (the fact `campaign.rejected`).
Writes:     verdict and status of `core.campaigns`; the release of a rejected campaign's reservation in `billing`,
            through its ledger; `core.dead_letters`.
Asks:       Redis, `content:{hash}` (verdicts of the last day; losable).
Decides:    allowed or not, and why (the rules are the team's, the judge is `sema_content_checker`).

What must never happen here: a verdict on a campaign that waits for none; a rejection that keeps the customer's
reservation; an approval because the rules could not be read; a campaign's text in a log line.
"""
