"""The test kit itself: what every integration test takes for granted."""

import asyncpg
import redis
from aio_pika import connect

from tests.kit.fixtures import TestDatabase


async def test_a_clone_is_migrated_and_private(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.dsn("main_api_pipeline"))
    assert await connection.fetchval("SELECT count(*) FROM core.mno_prefixes") > 900
    assert await connection.fetchval("SELECT version_num FROM public.alembic_version")
    await connection.close()


async def test_the_owner_sees_every_row(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.owner_dsn)
    assert await connection.fetchval("SELECT count(*) FROM core.accounts") == 0
    assert await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.close()


async def test_a_vhost_is_empty_and_takes_quorum_queues(vhost: str) -> None:
    async with await connect(vhost) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("q", durable=True, arguments={"x-queue-type": "quorum"})
        assert queue.declaration_result.message_count == 0


def test_redis_is_empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_is_empty_again(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")
