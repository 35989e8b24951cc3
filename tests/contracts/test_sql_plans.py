"""Every SQL constant of the house, planned under the role of each service that runs it.

On empty tables that were never analysed, as in the first hour of an installation and of every month, and with
generic plans, as prepared statements have them: whatever the statistics say, a statement of a hot path finds
its rows by key. Planning under the role also proves the grants: one that is missing fails here.
"""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.kit.fixtures import TestDatabase

ROOT = Path(__file__).parents[2]

API, PIPELINE = "main_api", "main_api_pipeline"
SMS, DLR = "sms_worker_pipeline", "dlr_processor_pipeline"
PHONE, CONTENT, HOOKS = "phone_validator_pipeline", "content_worker_pipeline", "webhook_delivery_pipeline"
CONSUMERS = (SMS, DLR, PHONE, CONTENT, HOOKS)

ROLES: dict[str, tuple[str, ...]] = {
    "sema_common.billing.accounting": (PIPELINE,),
    "sema_common.billing.costs": (PIPELINE,),
    "sema_common.billing.reports": (PIPELINE,),
    "sema_common.billing.statements": (API, PIPELINE),
    "sema_common.billing.alarms": (PIPELINE,),
    "sema_common.billing.alarms:SQL_THRESHOLD": (API, PIPELINE),
    "sema_common.billing.invoices.making": (PIPELINE,),
    "sema_common.billing.invoices.following": (PIPELINE,),
    "sema_common.billing.invoices.following:SQL_PAGE": (API, PIPELINE),
    "sema_common.billing.invoices.following:SQL_READ": (API, PIPELINE),
    "sema_common.billing.invoices.following:SQL_LINES": (API, PIPELINE),
    "sema_common.billing.invoices.following:SQL_PROFILE": (API, PIPELINE),
    "sema_common.billing.ledger": (PIPELINE,),
    "sema_common.billing.ledger:SQL_LOCK_BALANCES": (PIPELINE, SMS, DLR, CONTENT),
    "sema_common.billing.ledger:SQL_REFUND": (PIPELINE, SMS, DLR),
    "sema_common.billing.ledger:SQL_REFUNDED": (DLR,),
    "sema_common.billing.ledger:SQL_MOVE": (PIPELINE, CONTENT),
    "sema_common.billing.ledger:SQL_BALANCE": (API, PIPELINE),
    "sema_common.billing.ledger:SQL_ENTRIES": (API, PIPELINE),
    "sema_common.billing.ledger:SQL_VOLUME": (API, PIPELINE),
    "sema_common.billing.agents": (PIPELINE,),
    "sema_common.billing.rates": (API, PIPELINE),
    "sema_common.billing.payments": (PIPELINE,),
    "sema_common.billing.payments.top_ups:SQL_READ": (API, PIPELINE),
    "sema_common.billing.payments.top_ups:SQL_PAGE": (API, PIPELINE),
    "sema_common.billing.rates:SQL_INSERT_PRICE": (PIPELINE,),
    "sema_common.billing.rates:SQL_END_PRICE": (PIPELINE,),
    "sema_common.billing.rates:SQL_INSERT_RETAIL": (PIPELINE,),
    "sema_common.billing.rates:SQL_END_RETAIL": (PIPELINE,),
    "sema_common.messages.store.accepting": (PIPELINE,),
    "sema_common.messages.store.projection": (PIPELINE,),
    "sema_common.messages.store.publishing": (PIPELINE,),
    "sema_common.messages.store.idempotency": (PIPELINE,),
    "sema_common.messages.store.campaigns": (PIPELINE,),
    "sema_common.messages.store.campaigns:SQL_READ": (PIPELINE, CONTENT),
    "sema_common.messages.store.campaigns:SQL_REJECT": (PIPELINE, CONTENT),
    "sema_common.messages.store.attempts": (SMS,),
    "sema_common.messages.store.attempts:SQL_CLAIM": (PIPELINE, SMS),
    "sema_common.messages.store.attempts:SQL_READ_ATTEMPTS": (PIPELINE, SMS),
    "sema_common.messages.store.outcomes": (SMS,),
    "sema_common.messages.store.outcomes:SQL_RECORD_ENDED": (PIPELINE, SMS),
    "sema_common.messages.store.optouts": (SMS, DLR),
    "sema_common.messages.store.reading": (PIPELINE, SMS, DLR),
    "sema_common.messages.store.reading:SQL_LOCK_STATUS": (PIPELINE, SMS),
    "sema_common.messages.store.reports": (DLR,),
    "sema_common.messages.store.unreported": (SMS,),
    "sema_common.messages.store.unreported:SQL_FIND_OVERDUE": (DLR,),
    "sema_common.messages.store.reports:SQL_FIND_SUBMITS": (PIPELINE, DLR),
    "sema_common.platform.db": (API, PIPELINE, *CONSUMERS),
    "sema_common.platform.dead_letters": CONSUMERS,
    "sema_common.platform.mail": (PIPELINE,),
    "sema_sms_worker": (SMS,),
    "sema_dlr_processor": (DLR,),
    "sema_phone_validator": (PHONE,),
    "sema_content_worker": (CONTENT,),
    "sema_webhook_delivery": (HOOKS,),
    "sema_main_api": (PIPELINE,),
}
"""Who runs what; the longest name that fits decides. A tenant's reads of main-api are in TENANT_READS."""

TENANT_READS = {
    "sema_common.messages.store.campaigns:SQL_COUNT",
    "sema_main_api.campaigns.store.campaigns:SQL_READ",
    "sema_main_api.campaigns.store.campaigns:SQL_PAGE",
    "sema_main_api.campaigns.store.recipients:SQL_RECIPIENTS",
    "sema_main_api.campaigns.store.recipients:SQL_REFUSED_RECIPIENTS",
    "sema_main_api.agents.store:SQL_CUSTOMERS",
    "sema_main_api.agents.store:SQL_CUSTOMER",
    "sema_main_api.agents.store:SQL_RATES",
    "sema_main_api.agents.store:SQL_MONTH",
    "sema_main_api.agents.store:SQL_TERMS",
    "sema_main_api.agents.store:SQL_PAID",
    "sema_main_api.agents.store:SQL_SOLD",
    "sema_main_api.agents.store:SQL_SOLD_TO",
    "sema_main_api.agents.store:SQL_MESSAGES",
    "sema_main_api.agents.store:SQL_BRANDING",
    "sema_main_api.messaging.store:SQL_MESSAGE",
    "sema_main_api.messaging.store:SQL_EVENTS",
    "sema_main_api.messaging.store:SQL_MESSAGES",
    "sema_main_api.messaging.store:SQL_COUNTS",
    "sema_main_api.accounts.store:SQL_READ_ACCOUNT",
    "sema_main_api.accounts.store:SQL_LIST_KEYS",
    "sema_main_api.accounts.store:SQL_LIST_SENDERS",
    "sema_main_api.users.store:SQL_LIST_USERS",
    "sema_main_api.suppressions.store:SQL_LIST",
    "sema_main_api.suppressions.store:SQL_READ",
    "sema_main_api.webhooks.store:SQL_READ",
    "sema_main_api.webhooks.store:SQL_LIST",
    "sema_main_api.webhooks.store:SQL_LIST_DELIVERIES",
    "sema_main_api.webhooks.store:SQL_READ_DELIVERY",
    "sema_main_api.webhooks.store:SQL_LIST_ATTEMPTS",
    "sema_main_api.contacts.store.lists:SQL_LISTS",
    "sema_main_api.contacts.store.lists:SQL_READ_LIST",
    "sema_main_api.contacts.store.lists:SQL_COUNTS",
    "sema_main_api.contacts.store.contacts:SQL_CONTACTS",
    "sema_main_api.contacts.store.contacts:SQL_EXPORT",
    "sema_main_api.contacts.store.contacts:SQL_READ_CONTACT",
    "sema_main_api.contacts.store.jobs:SQL_LIVE_JOBS",
    "sema_main_api.contacts.store.jobs:SQL_READ_JOB",
    "sema_main_api.contacts.store.jobs:SQL_JOBS",
}
"""What main-api also runs as `main_api`, for one tenant at a time."""

BIG = ("orch", "billing", "dlr", "webhooks")
"""Schemas whose tables grow with the traffic."""

SCANS = {
    "sema_common.billing.alarms:SQL_LOW": "every balance is looked at, and there is one an account",
    "sema_common.billing.alarms:SQL_ARM": "every balance is looked at, and there is one an account",
    "sema_common.billing.alarms:SQL_NEAR_LIMIT": "every balance is looked at, and there is one an account",
    "sema_main_api.webhooks.store:SQL_CLAIM_UNTOLD": "by the partial index of what nobody was told of",
    "sema_common.billing.invoices.making:SQL_PAYERS": "a run looks at every account, by id",
    "sema_common.billing.invoices.following:SQL_PAGE_OF_ALL": "staff's list: the newest by id, a page of them",
    "sema_common.billing.invoices.following:SQL_DUE": "by the partial index of what has a next step",
    "sema_common.billing.accounting:SQL_DRIFT": "the audit of all days, which are few",
    "sema_common.billing.reports:SQL_TRIAL_BALANCE": "every balance, and all days, which are few",
    "sema_common.billing.costs:SQL_PAGE": "what aggregators charge is a small list",
    "sema_common.billing.costs:SQL_HOLDING": "what aggregators charge is a small list",
    "sema_common.billing.accounting:SQL_CURSOR": "one row",
    "sema_common.billing.accounting:SQL_MOVE_CURSOR": "one row",
    "sema_common.billing.accounting:SQL_STANDING": "one row",
    "sema_common.billing.statements:SQL_MONTHS": "the one row of the cursor",
    "sema_common.messages.store.projection:SQL_COMPARE": "an operator's audit of a span of time",
    "sema_common.billing.agents:SQL_COMMISSIONS_OWED": "a row for each customer and month, every 15 minutes",
    "sema_common.billing.rates:SQL_PRICES": "the price list is read in whole, and small",
    "sema_common.billing.rates:SQL_RETAIL": "agents' rates are read in whole, and few",
    "sema_common.billing.rates:SQL_AGENTS": "agents are few",
    "sema_common.billing.rates:SQL_VOLUMES": "one row an account, and only where prices have volume tiers",
    "sema_common.billing.rates:SQL_RATES_VERSION": "the price list is read in whole, and small",
    "sema_common.messages.store.publishing:SQL_FIND_UNPUBLISHED": "by the partial index of what is submitted",
    "sema_common.messages.store.publishing:SQL_COUNT_UNPUBLISHED": "by the partial index of what is submitted",
    "sema_main_api.admin.pricing.store:SQL_STANDING": "the price list is read in whole, and small",
    "sema_main_api.admin.pricing.store:SQL_PAGE": "the price list is small",
    "sema_main_api.admin.routing.store:SQL_ROUTES": "the aggregators are a handful",
    "sema_main_api.admin.routing.store:SQL_COUNT_RULES": "only accounts with a rule of their own",
    "sema_main_api.admin.routing.store:SQL_ACCOUNT_ROUTES": "only accounts with a rule of their own",
    "sema_sms_worker.store:SQL_ROUTES": "the aggregators are a handful",
    "sema_sms_worker.store:SQL_ACCOUNT_ROUTES": "only accounts with a rule of their own, read in whole",
    "sema_webhook_delivery.store:SQL_CANCEL": "by the partial index of what is pending, when an endpoint goes",
    "sema_webhook_delivery.store:SQL_OLDEST_DUE": "the first entry of the partial index of what is pending",
    "sema_main_api.admin.quarantine.store:SQL_UNMATCHED": "by the partial index of what is unmatched, newest first",
    "sema_dlr_processor.store:SQL_COUNT_UNMATCHED": "by the partial index of what is unmatched",
}
"""Statements that read more than the rows they were given keys of, each with its reason."""

PLANNED = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")


def statements() -> Iterator[tuple[str, str]]:
    """(module:CONSTANT, SQL) of every package."""
    for source in sorted(ROOT.glob("*/*/src")):
        for path in sorted(source.rglob("*.py")):
            if not re.search(r"^SQL_\w+", path.read_text(), re.MULTILINE):
                continue
            name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            for constant, sql in vars(import_module(name)).items():
                if constant.startswith("SQL_") and isinstance(sql, str):
                    yield f"{name}:{constant}", sql


def roles_of(name: str) -> tuple[str, ...]:
    fits = [known for known in ROLES if name == known or re.match(re.escape(known) + "[.:]", name)]
    assert fits, f"who runs {name}? Say so in ROLES"
    extra = (API,) if name in TENANT_READS else ()
    return ROLES[max(fits, key=len)] + extra


STATEMENTS = dict(statements())


async def plan(connection: "asyncpg.Connection[Any]", sql: str) -> dict[str, Any]:
    """The generic plan; asyncpg.InsufficientPrivilegeError where a grant is missing."""
    parameters = max(map(int, re.findall(r"\$(\d+)", sql)), default=0)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE planned AS {sql}")
    nulls = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
    answer = await connection.fetchval(f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) EXECUTE planned{nulls}")
    await connection.execute("DEALLOCATE planned")
    root: dict[str, Any] = json.loads(answer)[0]["Plan"]
    return root


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def by_no_key(root: dict[str, Any]) -> list[str]:
    """Nodes that read a table that grows without a key."""
    return [
        f"{node['Node Type']} on {node.get('Relation Name')}"
        for node in nodes(root)
        if node.get("Schema") in BIG
        and (
            node["Node Type"] == "Seq Scan"
            or (node["Node Type"] in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node)
        )
    ]


def test_the_tables_above_name_statements_that_exist() -> None:
    named = {*SCANS, *TENANT_READS, *(name for name in ROLES if ":" in name)}
    assert named <= STATEMENTS.keys(), named - STATEMENTS.keys()


async def test_every_statement_finds_its_rows_by_key_under_its_roles(database: TestDatabase) -> None:
    runs: dict[str, list[str]] = {}
    for name in STATEMENTS:
        for role in roles_of(name):
            runs.setdefault(role, []).append(name)
    wrong = []
    for role, names in runs.items():
        connection = await asyncpg.connect(database.dsn(role))
        for name in names:
            if not PLANNED.match(STATEMENTS[name]):
                continue
            try:
                found = by_no_key(await plan(connection, STATEMENTS[name]))
            except asyncpg.PostgresError as exc:
                await connection.execute("DEALLOCATE ALL")
                wrong.append(f"{role}: {name}: {exc}")
                continue
            if found and name not in SCANS:
                wrong.append(f"{role}: {name}: {', '.join(sorted(set(found)))}")
        await connection.close()
    assert not wrong, "\n".join(wrong)


async def test_a_scan_would_be_seen(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.dsn(DLR))
    scan = await plan(connection, "SELECT 1 FROM orch.sms_messages WHERE to_msisdn = $1")
    by_key = await plan(connection, "SELECT 1 FROM orch.sms_messages WHERE message_id = $1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await plan(connection, "DELETE FROM orch.sms_messages")
    await connection.close()
    assert by_no_key(scan)
    assert not by_no_key(by_key)
