"""The group commit on a real Postgres, under the role that production uses."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import asyncpg
import pytest

from sema_common.messages.store import idempotency
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.idempotency import KEPT_FOR, KeptResponse, fingerprint, key_hash
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import LockBusy, OutcomeUnknown, Refused, RetryLater, StoreUnavailable
from sema_main_api.messaging.accepting import Accepting
from sema_main_api.messaging.endpoints.sending import accepted_object, batch_object
from sema_main_api.messaging.rules.crediting import Answer, Key, Submission
from tests.kit.accounts import Account, Connection, books, message, open_account
from tests.kit.fixtures import TestDatabase


class Held:
    """Stands where the relay stands and remembers what it was offered."""

    def __init__(self) -> None:
        self.messages: list[NewMessage] = []

    def offer(self, messages: Sequence[NewMessage]) -> None:
        self.messages.extend(messages)


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("main_api_pipeline"), max_size=8) as opened:
        yield opened


@pytest.fixture
def relay() -> Held:
    return Held()


@pytest.fixture
async def accepting(db: Database, relay: Held) -> AsyncIterator[Accepting]:
    async with Accepting(db, relay) as opened:
        yield opened


def single(account: Account, cost: str = "1.0000", key: str | None = None, body: bytes = b"{}") -> Submission:
    bound = None
    if key is not None:
        bound = Key(key_hash(account.account_id, key), fingerprint("POST", "/v1/messages", body))
    one = message(account, cost, bound.hash if bound else None)
    return Submission(account, [one], lambda _: accepted_object(one), bound)


async def outcomes(accepting: Accepting, submissions: Sequence[Submission]) -> list[Answer | BaseException]:
    return await asyncio.gather(*map(accepting.accept, submissions), return_exceptions=True)


async def test_an_accepted_message_is_paid_written_and_handed_to_the_relay(
    accepting: Accepting, owner: Connection, relay: Held
) -> None:
    account = await open_account(owner, "5")
    answer = await accepting.accept(single(account, "0.8000"))
    assert answer.body["status"] == "submitted"
    assert answer.body["cost"] == {"amount": "0.8000", "currency": "KES"}
    assert await books(owner, account) == {
        "balance": Decimal("4.2000"), "ledger": Decimal("4.2000"), "charges": 1, "messages": 1, "events": 1
    }  # fmt: skip
    assert [str(m.message_id) for m in relay.messages] == [answer.body["id"]]
    stored = await owner.fetchrow("SELECT * FROM orch.sms_messages")
    assert stored is not None
    assert (stored["status"], stored["operator_id"], stored["metadata"]) == (
        "submitted",
        "Safaricom",
        '{"order": "7"}',
    )


async def test_200_parallel_sends_with_credit_for_10_accept_exactly_10(
    accepting: Accepting, owner: Connection, relay: Held
) -> None:
    account = await open_account(owner, "10")
    results = await outcomes(accepting, [single(account) for _ in range(200)])
    refused = [r for r in results if isinstance(r, Refused)]
    assert len(refused) == 190
    assert {(r.code, r.status) for r in refused} == {("insufficient_credit", 402)}
    found = await books(owner, account)
    assert (found["balance"], found["messages"], found["charges"], len(relay.messages)) == (0, 10, 10, 10)


async def test_a_balance_short_by_one_unit_writes_nothing(accepting: Accepting, owner: Connection) -> None:
    account = await open_account(owner, "0.7999")
    with pytest.raises(Refused, match="insufficient_credit"):
        await accepting.accept(single(account, "0.8000"))
    assert (await books(owner, account))["messages"] == 0


async def test_one_key_in_parallel_makes_one_message(accepting: Accepting, owner: Connection) -> None:
    account = await open_account(owner, "100")
    results = await outcomes(accepting, [single(account, key="once") for _ in range(50)])
    answers = [r for r in results if isinstance(r, Answer)]
    assert len(answers) == 50
    assert sum(not answer.replayed for answer in answers) == 1
    assert len({answer.body["id"] for answer in answers}) == 1
    assert (await books(owner, account))["messages"] == 1


async def test_a_key_of_another_call_is_refused_and_a_refusal_frees_its_key(
    accepting: Accepting, owner: Connection
) -> None:
    account = await open_account(owner, "1")
    with pytest.raises(Refused, match="insufficient_credit"):
        await accepting.accept(single(account, "2", key="a"))
    first = await accepting.accept(single(account, "1", key="a", body=b"1"))
    with pytest.raises(Refused, match="idempotency_key_reused"):
        await accepting.accept(single(account, "1", key="a", body=b"2"))
    again = await accepting.accept(single(account, "1", key="a", body=b"1"))
    assert again.replayed
    assert again.body == first.body


async def test_each_item_of_a_batch_stands_alone(accepting: Accepting, owner: Connection) -> None:
    account = await open_account(owner, "2")
    items: list[NewMessage | Refused] = [
        message(account),
        Refused("x", "y"),
        message(account, "5"),
        message(account),
    ]
    messages = [item for item in items if isinstance(item, NewMessage)]
    answer = await accepting.accept(
        Submission(account, messages, lambda unpaid: batch_object(items, unpaid), batch=True)
    )
    assert (answer.body["accepted"], answer.body["rejected"]) == (2, 2)
    assert [entry.get("error", {}).get("code") for entry in answer.body["data"]] == [
        None, "x", "insufficient_credit", None
    ]  # fmt: skip
    assert (await books(owner, account))["balance"] == 0


async def test_a_balance_locked_elsewhere_delays_nobody_else_and_ends_in_503(
    accepting: Accepting,
    owner: Connection,
) -> None:
    busy, free = await open_account(owner, "10"), await open_account(owner, "10")
    async with owner.transaction():
        await owner.execute("SELECT FROM billing.credits WHERE account_id = $1 FOR UPDATE", busy.account_id)
        waiting = asyncio.create_task(outcomes(accepting, [single(busy)]))
        for _ in range(5):
            await accepting.accept(single(free))
        assert not waiting.done()
        [result] = await waiting
    assert isinstance(result, LockBusy)
    assert (await books(owner, busy))["messages"] == 0
    assert isinstance(await accepting.accept(single(busy)), Answer)


class Broken(Database):
    """A pool whose next COMMIT loses its answer, after (`happens`) or before it took effect."""

    happens: Iterator[bool]

    @asynccontextmanager
    async def transaction(self, timeout: float = 5.0) -> AsyncIterator[Tx]:
        happens = next(self.happens, None)
        if happens is None:
            async with super().transaction(timeout) as tx:
                yield tx
            return
        try:
            async with super().transaction(timeout) as tx:
                yield tx
                if not happens:
                    raise ConnectionError("gone before the commit")
        except ConnectionError:
            pass
        raise OutcomeUnknown("lost")


@pytest.mark.parametrize("happened", [True, False])
async def test_a_lost_answer_to_commit_is_looked_up(
    db: Database, owner: Connection, relay: Held, happened: bool
) -> None:
    account = await open_account(owner, "10")
    db.__class__ = Broken
    assert isinstance(db, Broken)
    db.happens = iter([happened])
    async with Accepting(db, relay) as accepting:
        [result] = await outcomes(accepting, [single(account)])
    assert isinstance(result, Answer if happened else StoreUnavailable)
    assert not isinstance(result, OutcomeUnknown)
    assert (await books(owner, account))["messages"] == len(relay.messages) == int(happened)


async def test_one_bad_row_fails_alone(accepting: Accepting, owner: Connection) -> None:
    account = await open_account(owner, "10")
    good, bad = single(account), message(account)
    bad = dataclasses.replace(bad, country="KENYA")  # the column holds two letters
    results = await outcomes(
        accepting, [good, Submission(account, [bad], lambda _: accepted_object(bad)), single(account)]
    )
    assert [isinstance(result, Answer) for result in results] == [True, False, True]
    assert (await books(owner, account))["messages"] == 2


async def test_a_key_that_somebody_else_took_meanwhile_fails_alone(
    accepting: Accepting, owner: Connection, db: Database
) -> None:
    account = await open_account(owner, "10")
    wanted = single(account, key="k")
    assert wanted.key is not None
    row = rules_kept(account, wanted.key)
    async with db.transaction() as tx:
        await idempotency.keep(tx, [row], now())
        racing = asyncio.create_task(outcomes(accepting, [wanted, single(account)]))
        async with asyncio.timeout(10):
            while not racing.done() and not await waits_for_a_lock(owner):
                pass
    lost, neighbour = await racing
    assert isinstance(neighbour, Answer)
    assert isinstance(lost, Answer | Refused | RetryLater)
    assert (await books(owner, account))["messages"] == 1


def rules_kept(account: Account, key: Key) -> KeptResponse:
    """What a create of another kind would have kept under this key."""
    return KeptResponse(
        key.hash, account.tenant_id, account.account_id, "webhook", None, b"other", 201, {}, now() + KEPT_FOR
    )


async def waits_for_a_lock(owner: Connection) -> bool:
    found: bool = await owner.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')"
    )
    return found
