"""Topology: what RabbitMQ is told is what the operators import, and what every supported version accepts."""

import json
from pathlib import Path

from sema_common.platform import topology

DEFINITIONS = Path(__file__).parents[5] / "deploy" / "rabbitmq" / "definitions.json"
SPECS = {spec.name: spec.arguments for spec in topology.queue_specs()}


def test_the_operators_file_is_the_declared_topology() -> None:
    hint = "python -m sema_common.platform.topology > deploy/rabbitmq/definitions.json"
    assert json.loads(DEFINITIONS.read_text()) == topology.definitions(), hint


def test_every_queue_has_a_limit_and_a_dead_letter_queue_of_its_own() -> None:
    for queue in topology.QUEUES:
        arguments = SPECS[queue]
        assert arguments["x-delivery-limit"] == 5
        assert arguments["x-dead-letter-routing-key"] == f"dlq.{queue}"
        assert f"dlq.{queue}" in SPECS
    bound = {b["routing_key"]: b["destination"] for b in topology.definitions()["bindings"]}
    assert bound == {f"dlq.{q}": f"dlq.{q}" for q in topology.QUEUES}


def test_dead_lettering_is_at_least_once_with_all_that_it_needs() -> None:
    for queue in topology.QUEUES:
        arguments = SPECS[queue]
        assert arguments["x-queue-type"] == "quorum"
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-overflow"] == "reject-publish"


def test_a_dead_letter_queue_never_drops_or_limits() -> None:
    for queue in topology.QUEUES:
        assert SPECS[f"dlq.{queue}"] == {"x-queue-type": "quorum", "x-delivery-limit": 2**31 - 1}


def test_no_argument_that_a_newer_rabbitmq_refuses() -> None:
    used = {key for arguments in SPECS.values() for key in arguments}
    assert not used & {"x-queue-mode", "x-max-priority", "x-queue-version"}
