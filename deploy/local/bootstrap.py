"""What a stack needs between its stores and its services: database, roles, schema, and the demo's accounts.

Every step is safe to repeat; the supervisor runs them at each start. What the steps learn ends in
`stack.env`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import asyncpg

from deploy.local import services
from deploy.local.credentials import DEMO_KEYS, load, write_env
from deploy.local.layout import DATABASE, ROOT, Layout

OWNER: Final = "sema_owner"
MIGRATOR: Final = "sema_migrator"
STAFF_EMAIL: Final = "staff@sema.local"
OWNER_EMAIL: Final = "owner@sema.local"
# Enough for every demonstration and most afternoons, in the account's currency.
DEMO_CREDIT: Final = "1000000"


async def prepare(layout: Layout, wanted: frozenset[str]) -> None:
    """Runs all steps; the accounts only where main-api is wanted, since its CLI makes them."""
    await create_roles(layout)
    created = await create_database(layout, DATABASE)
    await migrate(layout, DATABASE)
    secrets = load(layout.secrets_file)
    if created:
        for key in DEMO_KEYS:
            secrets.pop(key, None)
    if "main-api" in wanted and not all(key in secrets for key in DEMO_KEYS):
        secrets |= await seed(layout, secrets)
    write_env(layout.secrets_file, secrets, mode=0o600)
    write_env(layout.env_file, stack_env(layout, secrets), mode=0o600)


async def create_roles(layout: Layout) -> None:
    connection = await asyncpg.connect(layout.dsn(database="postgres"))
    try:
        await connection.execute((ROOT / "deploy/roles.sql").read_text())
    finally:
        await connection.close()


async def create_database(layout: Layout, name: str) -> bool:
    """True when it was not there; owned by the role that owns every object, so that migrations need no
    superuser.
    """
    connection = await asyncpg.connect(layout.dsn(database="postgres"))
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            return False
        await connection.execute(f'CREATE DATABASE "{name}" OWNER {OWNER}')
        return True
    finally:
        await connection.close()


async def migrate(layout: Layout, database: str) -> None:
    await run(
        {**services.inherited(), "DATABASE_URL": layout.dsn(MIGRATOR, database)},
        "deploy.migrations",
        "upgrade",
    )


async def seed(layout: Layout, secrets: dict[str, str]) -> dict[str, str]:
    """The demo account with credit and the sender SEMALINK, its keys, a staff user and the account's
    owner.
    """
    account = await operators(
        layout,
        secrets,
        "account",
        "create",
        "--name",
        "Demo",
        "--credit",
        DEMO_CREDIT,
        "--tier",
        "enterprise",
    )
    await operators(
        layout,
        secrets,
        "staff",
        "create",
        "--email",
        STAFF_EMAIL,
        "--password",
        secrets["SEMA_STAFF_PASSWORD"],
    )
    await operators(
        *(layout, secrets, "owner", "create", "--account", account["SEMA_ACCOUNT_ID"]),
        *("--email", OWNER_EMAIL, "--password", secrets["SEMA_OWNER_PASSWORD"]),
    )
    return {key: account[key] for key in DEMO_KEYS}


async def operators(layout: Layout, secrets: dict[str, str], *arguments: str) -> dict[str, str]:
    """Runs the operators' CLI with main-api's own settings; the NAME=value lines that it prints."""
    output = await run(services.environment(layout, secrets, "main-api"), "sema_main_api.cli", *arguments)
    pairs = (line.partition("=") for line in output.splitlines())
    return {name: value for name, found, value in pairs if found and name.isidentifier()}


async def run(env: dict[str, str], module: str, *arguments: str) -> str:
    """A Python module to its end; its standard output, or an error with all that it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        env=env,
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        said = (output + errors).decode(errors="replace").strip()
        raise RuntimeError(f"{module} {arguments[0]} exited with {process.returncode}\n{said}")
    return output.decode()


def stack_env(layout: Layout, secrets: dict[str, str]) -> dict[str, str]:
    """Everything that someone who uses the stack from outside needs to know."""
    return {
        "SEMA_API_URL": layout.http("main-api"),
        "SEMA_DLR_URL": layout.http("dlr-webhook"),
        "SEMA_DLR_TOKEN": secrets["DLR_TOKEN"],
        "SEMA_SANDBOX_URL": layout.http("sandbox"),
        **{key: secrets[key] for key in DEMO_KEYS if key in secrets},
        "SEMA_STAFF_EMAIL": STAFF_EMAIL,
        "SEMA_STAFF_PASSWORD": secrets["SEMA_STAFF_PASSWORD"],
        "SEMA_OWNER_EMAIL": OWNER_EMAIL,
        "SEMA_OWNER_PASSWORD": secrets["SEMA_OWNER_PASSWORD"],
        "DATABASE_URL": layout.dsn(),
        "AMQP_URL": layout.amqp(secrets["AMQP_PASSWORD"]),
        "REDIS_URL": layout.redis(),
        "RABBITMQ_MANAGEMENT_URL": layout.http("rabbitmq-management"),
        **{
            f"SEMA_OPS_URL_{name.upper().replace('-', '_')}": layout.http(f"{name}-ops")
            for name in services.SERVICES
        },
    }
