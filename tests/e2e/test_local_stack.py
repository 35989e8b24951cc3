"""`make up` as its users see it: everything answers, whatever dies comes back, and mending keeps what runs."""

import asyncio
import signal
from pathlib import Path

from deploy.local import control
from deploy.local.programs import left_behind
from deploy.local.services import SERVICES
from tests.kit.client import eventually
from tests.kit.stack import Stack

STORES = ("postgres", "redis", "rabbitmq")


def test_each_service_and_store_has_its_pid_file(stack: Stack) -> None:
    for name in (*SERVICES, *STORES, "sandbox"):
        assert left_behind(stack.layout, name) == (stack.pid(name), stack.layout.port_base)


def test_pid_files_name_the_servers_themselves(stack: Stack) -> None:
    names = {name: Path(f"/proc/{stack.pid(name)}/comm").read_text().strip() for name in STORES}
    assert names == {"postgres": "postgres", "redis": "redis-server", "rabbitmq": "beam.smp"}


def test_stack_env_holds_what_users_need(stack: Stack) -> None:
    promised = {
        *("SEMA_API_URL", "SEMA_DLR_URL", "SEMA_SANDBOX_URL", "SEMA_API_KEY", "SEMA_TEST_API_KEY"),
        *("SEMA_STAFF_EMAIL", "SEMA_STAFF_PASSWORD", "SEMA_OWNER_EMAIL", "SEMA_OWNER_PASSWORD"),
        *("DATABASE_URL", "AMQP_URL", "REDIS_URL"),
    }
    assert promised <= {name for name, value in stack.env.items() if value}


async def test_all_services_killed_at_once_come_back(stack: Stack) -> None:
    await asyncio.gather(*(stack.kill(name) for name in SERVICES))


async def test_a_new_supervisor_keeps_what_runs(stack: Stack) -> None:
    names = (*SERVICES, *STORES, "sandbox", "epmd")
    before = {name: stack.pid(name) for name in names}
    killed = stack.signal("supervisor", signal.SIGKILL)

    async def gone() -> None:
        assert control.supervisor_pid(stack.layout) != killed

    await eventually(gone)
    stack.signal("sandbox", signal.SIGKILL)
    await stack.start(*SERVICES, "sandbox")
    after = {name: stack.pid(name) for name in names}
    assert {name for name in names if before[name] != after[name]} == {"sandbox"}


async def test_a_stopped_store_stays_away_until_it_is_started(stack: Stack) -> None:
    await stack.stop("redis")
    status = control.read_status(stack.layout)
    assert status is not None
    assert "redis" not in status["programs"]
    await stack.start("redis")
    assert left_behind(stack.layout, "redis") is not None
