"""What is decided by: changes are seen, and a bad rule spoils nothing else."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from sema_aggregators import Celcom, TestMode
from sema_common.platform.db import Database
from sema_common.values.errors import StoreUnavailable
from sema_main_api.messaging.reference import ReferenceData
from tests.kit.accounts import Connection, open_account
from tests.kit.fixtures import TestDatabase


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def reference(database: TestDatabase) -> AsyncIterator[ReferenceData]:
    async with Database.open(database.dsn("main_api_pipeline"), max_size=2) as db:
        yield ReferenceData(db, [Celcom().capabilities], [TestMode().capabilities])


async def test_nothing_is_accepted_before_it_was_read(reference: ReferenceData) -> None:
    with pytest.raises(StoreUnavailable):
        await reference.check()
    await reference.refresh()
    await reference.check()


async def test_a_rule_that_cannot_be_built_leaves_the_last_good_ones_and_prices_go_on(
    reference: ReferenceData, owner: Connection
) -> None:
    await reference.refresh()
    before = reference.current
    await owner.execute("INSERT INTO core.content_blocklist (kind, value) VALUES ('pattern', '(')")
    await owner.execute("UPDATE billing.pricing_tiers SET price = 9 WHERE country = 'UG'")
    await reference.refresh()
    await reference.refresh_content()
    assert reference.current.content is before.content
    assert reference.current.prices is not before.prices
    await owner.execute("DELETE FROM core.content_blocklist WHERE value = '('")
    await reference.refresh_content()
    assert reference.current.content is not before.content


async def test_a_change_of_the_content_rules_by_any_hand_moves_their_version_and_is_seen(
    reference: ReferenceData, owner: Connection
) -> None:
    await reference.refresh()
    seen = [reference.current.content]
    for change in (
        "INSERT INTO core.content_blocklist (kind, value) VALUES ('word', 'mango')",
        "UPDATE core.content_blocklist SET value = 'guava' WHERE value = 'mango'",
        "DELETE FROM core.content_blocklist WHERE value = 'guava'",
    ):
        await owner.execute(change)
        await reference.refresh_content()
        assert reference.current.content not in seen, change
        seen.append(reference.current.content)
    assert [judge("a mango").allowed for judge in seen] == [True, False, True, True]
    assert [judge("a guava").allowed for judge in seen] == [True, True, False, True]
    await reference.refresh_content()
    assert reference.current.content is seen[-1]


async def test_a_change_by_an_older_transaction_that_commits_late_is_seen(
    reference: ReferenceData, database: TestDatabase, owner: Connection
) -> None:
    late = await asyncpg.connect(database.owner_dsn)
    transaction = late.transaction()
    await transaction.start()
    await late.execute("UPDATE billing.pricing_tiers SET price = 8 WHERE country = 'UG'")
    await owner.execute("UPDATE billing.pricing_tiers SET price = 8 WHERE country = 'TZ'")
    await reference.refresh()
    before = reference.current
    await transaction.commit()
    await late.close()
    await reference.refresh()
    assert reference.current is not before


async def test_a_sender_approved_a_moment_ago_may_be_used(
    reference: ReferenceData, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await open_account(owner, "0")
    assert await reference.senders(account.account_id, "ACME") == {}
    await owner.execute(
        "INSERT INTO core.sender_ids (id, tenant_id, account_id, sender, skeleton, status, countries)"
        " VALUES (gen_random_uuid(), $1, $1, 'ACME', 'acme', 'approved', '{KE}')",
        account.account_id,
    )
    assert await reference.senders(account.account_id, "ACME") == {}, "at most one look a second"
    monkeypatch.setattr("sema_main_api.messaging.reference.UNKNOWN_SENDER_SECONDS", 0.0)
    assert await reference.senders(account.account_id, "ACME") == {"ACME": frozenset({"KE"})}


async def test_a_countrys_rule_for_senders_is_seen_at_the_next_refresh(
    reference: ReferenceData, owner: Connection
) -> None:
    await reference.refresh()
    assert reference.current.sender_rules["KE"].allows_numeric
    await owner.execute("UPDATE core.sender_rules SET allows_numeric = false WHERE country = 'KE'")
    await reference.refresh()
    assert not reference.current.sender_rules["KE"].allows_numeric
