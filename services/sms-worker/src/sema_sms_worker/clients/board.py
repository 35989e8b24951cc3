"""What the workers tell each other of the routes, through Redis: rows of failures, gates, and that they are there."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sema_common.messages.routes import GATES_KEY, ROWS_KEY
from sema_common.platform.cache import Cache
from sema_common.values.ids import new_id
from sema_sms_worker.rules.gates import Gate

WORKERS_KEY: Final = "sema:routes:workers"

# One round trip: rows of failures are set or added to, newer gates replace older ones, and all are read, with the
# number of workers that have said something within 10 s. Redis's own clock counts.
LUA_EXCHANGE: Final = """
local asked = cjson.decode(ARGV[1])
local rows = {}
for name, row in pairs(asked.rows) do
  if row[1] then redis.call('HSET', KEYS[1], name, row[2]) rows[name] = row[2]
  else rows[name] = redis.call('HINCRBY', KEYS[1], name, row[2]) end
end
for name, gate in pairs(asked.gates) do
  local there = redis.call('HGET', KEYS[2], name)
  if not there or cjson.decode(there).version < cjson.decode(gate).version then
    redis.call('HSET', KEYS[2], name, gate)
  end
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[3], time[1], asked.worker)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', time[1] - 10)
redis.call('EXPIRE', KEYS[3], 20)
redis.call('EXPIRE', KEYS[1], 120)
redis.call('EXPIRE', KEYS[2], 86400)
return {cjson.encode(rows), redis.call('HGETALL', KEYS[2]), redis.call('ZCARD', KEYS[3])}
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """The rows that were told about, as they are now of all workers; every gate; how many workers there are."""

    rows: Mapping[str, int]
    gates: Mapping[str, Gate]
    workers: int


class Board:
    """This worker's place at it."""

    def __init__(self, cache: Cache) -> None:
        self._exchange = cache.script(LUA_EXCHANGE)
        self._worker = str(new_id())

    async def tell(self, rows: Mapping[str, tuple[bool, int]], gates: Mapping[str, Gate]) -> Heard:
        """Tell rows (set, or added to) and gates. CacheUnavailable: perhaps it was told."""
        asked = {
            "worker": self._worker,
            "rows": rows,
            "gates": {key: json.dumps(asdict(gate)) for key, gate in gates.items()},
        }
        told, board, workers = await self._exchange([ROWS_KEY, GATES_KEY, WORKERS_KEY], [json.dumps(asked)])
        there = {key: read_gate(text) for key, text in zip(board[::2], board[1::2], strict=True)}
        return Heard({name: int(row) for name, row in json.loads(told).items()}, there, int(workers))


def read_gate(text: str) -> Gate:
    """A gate as another worker, or an older release, wrote it."""
    fields: dict[str, Any] = json.loads(text)
    return Gate(**{name: fields[name] for name in Gate.__dataclass_fields__ if name in fields})
