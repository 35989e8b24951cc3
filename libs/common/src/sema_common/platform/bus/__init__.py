"""RabbitMQ: publish with a confirm, consume with a defined outcome, heal without a restart.

    bus.py        the face that rooms see: open, publish, consume, check
    link.py       one connection that comes back by itself
    publisher.py  confirmed, mandatory, persistent publishes
    consumer.py   deliveries, in batches
    outcome.py    from a batch to the outcome of each delivery
    delivery.py   what a handler is given

The only package that imports aio_pika and aiormq. What must never happen here: an ack before its handler has
returned, a publish that counts as done without a confirm, a handler cancelled because a connection went away.
"""

from sema_common.platform.bus.bus import Bus
from sema_common.platform.bus.delivery import DeadLetter, Delivery
from sema_common.platform.bus.publisher import Outgoing

__all__ = ["Bus", "DeadLetter", "Delivery", "Outgoing"]
