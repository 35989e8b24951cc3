"""The queues of Sema Link: declared here, nowhere else, and the same on every RabbitMQ from 3.10 to 4.x.

Every work queue is a quorum queue with a delivery limit and a dead-letter queue of its own. Dead-lettering is
at-least-once, so a rejected message stays in its queue until the dead-letter queue has confirmed it. A retry
that has to wait lives in Postgres, never in a queue.

What must never happen here: an argument changed in place. RabbitMQ refuses a declaration that differs from
the queue it has (406), so a change is a new queue name or an operator's policy.

`python -m sema_common.platform.topology` prints the definitions that operators import.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from sema_common.wire.queues import QUEUES as QUEUES

DEAD_LETTER_EXCHANGE: Final = "sema.dlx"

NO_LIMIT: Final = 2**31 - 1
"""Dead letters are returned as often as it takes. RabbitMQ 3 takes -1 for a limit that the first return exceeds."""

DELIVERY_LIMIT: Final = 5
"""RabbitMQ gives up when the count of *re*deliveries passes the limit: 5 means at most 6 deliveries."""

MAX_LENGTH: Final = 2_000_000
"""AMQP messages in one work queue before publishes are refused: a bound on the broker's disk, not a working
size (2 M bundles of 20 jobs are hours at full speed). The outbox in Postgres holds what comes after."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One durable quorum queue as RabbitMQ declares it."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


def dead_letter_queue(queue: str) -> str:
    """The dead-letter queue of a work queue."""
    return f"dlq.{queue}"


DEAD_LETTER_QUEUES: Final = frozenset(map(dead_letter_queue, QUEUES))


def queue_specs() -> tuple[QueueSpec, ...]:
    """All queues, dead-letter queues first so that no work queue ever points at nothing.

    A dead-letter queue has no length and no delivery limit: both would drop or return messages.
    """
    dead = tuple(
        QueueSpec(dead_letter_queue(q), {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT})
        for q in QUEUES
    )
    work = tuple(
        QueueSpec(
            q,
            {
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
                "x-dead-letter-routing-key": dead_letter_queue(q),
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
                "x-max-length": MAX_LENGTH,
            },
        )
        for q in QUEUES
    )
    return dead + work


def definitions(vhost: str = "/") -> dict[str, Any]:
    """The topology in the format of RabbitMQ's definitions file, without users and permissions."""
    return {
        "vhosts": [{"name": vhost}],
        "exchanges": [
            {
                "name": DEAD_LETTER_EXCHANGE,
                "vhost": vhost,
                "type": "direct",
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
        ],
        "queues": [
            {
                "name": spec.name,
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": spec.arguments,
            }
            for spec in queue_specs()
        ],
        "bindings": [
            {
                "source": DEAD_LETTER_EXCHANGE,
                "vhost": vhost,
                "destination": dead_letter_queue(queue),
                "destination_type": "queue",
                "routing_key": dead_letter_queue(queue),
                "arguments": {},
            }
            for queue in QUEUES
        ],
    }


def render() -> str:
    """`definitions()` as the text of `deploy/rabbitmq/definitions.json`."""
    return json.dumps(definitions(), indent=2) + "\n"


if __name__ == "__main__":
    print(render(), end="")
