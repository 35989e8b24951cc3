"""Who may do what to which table: the design's table of rooms, as the database must enforce it.

S select, I insert, U update, D delete; `U(a b)` only these columns. What is not here is not granted.
"""

from typing import Final

API, PIPELINE = "main_api", "main_api_pipeline"
SMS, DLR = "sms_worker_pipeline", "dlr_processor_pipeline"
PHONE, CONTENT, HOOKS = "phone_validator_pipeline", "content_worker_pipeline", "webhook_delivery_pipeline"
ROLES: Final = (API, PIPELINE, SMS, DLR, PHONE, CONTENT, HOOKS)

CONTACT_COLUMNS: Final = "validity msisdn country mno mno_tier reason suggestion validated_at"
JOB_COLUMNS: Final = "status processed valid invalid by_mno by_reason started_at finished_at failure"

GRANTS: Final[dict[str, dict[str, str]]] = {
    API: {
        "billing.accounting_cursor": "S",
        "billing.credit_ledger": "S",
        "billing.credits": "S",
        "billing.ledger_days": "S",
        "billing.pricing_tiers": "S",
        "core.accounts": "S",
        "core.api_keys": "S",
        "core.campaign_recipients": "S",
        "core.campaigns": "S",
        "core.contact_lists": "S",
        "core.contact_validation_jobs": "S",
        "core.contacts": "S",
        "core.mno_prefixes": "S",
        "core.sender_ids": "S",
        "core.suppressions": "S",
        "core.users": "S",
        "orch.message_events": "S",
        "orch.sms_messages": "S",
        "webhooks.deliveries": "S",
        "webhooks.endpoints": "S",
        "webhooks.webhook_delivery_attempts": "S",
    },
    PIPELINE: {
        "core.account_routes": "SIUD",
        "core.routes": "SIU",
        "billing.accounting_cursor": "SU",
        "billing.credit_ledger": "SI",
        "billing.credits": "SIU",
        "billing.ledger_days": "SIU",
        "billing.pricing_tiers": "SIU",
        "billing.usage_days": "SIU",
        "core.accounts": "SIU",
        "core.api_keys": "SIU",
        "core.audit_log": "SI",
        "core.campaign_parts": "SIUD",
        "core.campaign_recipients": "SIUD",
        "core.campaigns": "SIU",
        "core.contact_lists": "SIUD",
        "core.contact_validation_jobs": "SIU",
        "core.contacts": "SIUD",
        "core.content_blocklist": "SIUD",
        "core.content_refusals": "SIUD",
        "core.content_rules_version": "SU",
        "core.dead_letters": "SIUD",
        "core.mails": "SIUD",
        "core.mno_prefixes": "SIUD",
        "core.registrations": "SIUD",
        "core.sender_ids": "SIU",
        "core.suppressions": "SIUD",
        "core.user_tokens": "SIUD",
        "core.user_totp": "SIUD",
        "core.users": "SIUD",
        "dlr.dlrs": "S",
        "dlr.quarantine": "SD U(state decided_at decided_by told_at)",
        "dlr.withheld_refunds": "S",
        "orch.idempotency_keys": "SIUD",
        "orch.message_events": "SI",
        "orch.report_polls": "S",
        "orch.sms_messages": "SIU",
        "orch.submit_attempts": "SI U(aggregator choice claimed_at state code detail finished_at due_at)",
        "webhooks.deliveries": "S",
        "webhooks.endpoints": "SIU",
        "webhooks.webhook_delivery_attempts": "S",
    },
    SMS: {
        "core.account_routes": "S",
        "core.routes": "S",
        "billing.credit_ledger": "SI",
        "billing.credits": "S U(balance)",
        "core.dead_letters": "SI",
        "orch.message_events": "SI",
        "orch.report_polls": "SIU",
        "orch.sms_messages": "S U(status status_updated_at queued_at sent_at processed_at route_id aggregator_id"
        " attempt_count last_error updated_at)",
        "orch.submit_attempts": "SIUD",
    },
    DLR: {
        "billing.credit_ledger": "SI",
        "billing.credits": "S U(balance)",
        "core.accounts": "S(id refund_undelivered)",
        "core.dead_letters": "SI",
        "dlr.dlrs": "SIU",
        "dlr.quarantine": "SI",
        "dlr.withheld_refunds": "SID",
        "orch.message_events": "SI",
        "orch.sms_messages": "S U(status status_updated_at delivered_at processed_at last_error updated_at)",
        "orch.submit_attempts": "S",
    },
    PHONE: {
        "core.contact_lists": "S",
        "core.contact_validation_jobs": f"S U({JOB_COLUMNS})",
        "core.contacts": f"S U({CONTACT_COLUMNS})",
        "core.dead_letters": "SI",
        "core.mno_prefixes": "S",
    },
    CONTENT: {
        "billing.credit_ledger": "SI",
        "billing.credits": "S U(balance)",
        "core.campaigns": "S U(status rejection_reasons reserved screened_at)",
        "core.content_blocklist": "S",
        "core.content_rules_version": "S",
        "core.dead_letters": "SI",
    },
    HOOKS: {
        "core.accounts": "S",
        "core.dead_letters": "SI",
        "webhooks.deliveries": "SIUD",
        "webhooks.endpoints": "S U(failing_since disabled_at disabled_reason)",
        "webhooks.webhook_delivery_attempts": "SI",
    },
}

FUNCTIONS: Final = {"orch.ensure_partitions(integer)": (PIPELINE,), "dlr.drop_partitions(integer)": (DLR,)}
"""SECURITY DEFINER functions, which lend their owner's rights: who may call each."""
