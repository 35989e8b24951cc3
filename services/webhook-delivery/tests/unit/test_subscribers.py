"""What is remembered of subscribers: little, and not for long."""

from collections.abc import Iterable
from uuid import UUID, uuid4

import pytest

from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox
from sema_common.values.ids import webhook_secret
from sema_webhook_delivery import store, subscribers
from sema_webhook_delivery.subscribers import Subscribers

BOX = SecretBox(SecretBox.new_key())
SECRET = BOX.seal(webhook_secret())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[set[UUID]]:
    """What Postgres was asked for, query by query; it knows every account."""
    queries: list[set[UUID]] = []

    async def read(_: Database, account_ids: Iterable[UUID]) -> list[store.SubscriberRow]:
        queries.append(set(account_ids))
        return [store.SubscriberRow(id_, id_, SECRET, ()) for id_ in queries[-1]]

    monkeypatch.setattr(store, "read_subscribers", read)
    return queries


def make() -> Subscribers:
    return Subscribers(Database.__new__(Database), BOX)


async def test_an_account_is_read_once_while_fresh_and_again_when_it_changed(asked: list[set[UUID]]) -> None:
    known, a, b = make(), uuid4(), uuid4()
    await known.of([a])
    assert set(await known.of([a, b])) == {a, b}
    known.forget(a)
    await known.of([a, b])
    assert asked == [{a}, {b}, {a}]


async def test_memory_is_bounded_and_the_oldest_go_first(
    asked: list[set[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribers, "REMEMBERED", 3)
    known, accounts = make(), [uuid4() for _ in range(5)]
    for account in accounts:
        await known.of([account])
    assert len(known) == 3
    await known.of(accounts)
    assert asked[-1] == set(accounts[:2])
    assert len(known) == 3


async def test_what_is_not_fresh_is_not_kept(asked: list[set[UUID]], monkeypatch: pytest.MonkeyPatch) -> None:
    known, a = make(), uuid4()
    await known.of(uuid4() for _ in range(100))
    monkeypatch.setattr(subscribers, "FRESH_SECONDS", 0.0)
    await known.of([a])
    assert len(known) == 1
