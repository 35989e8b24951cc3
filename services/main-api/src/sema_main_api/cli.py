"""The operators' command line: opens accounts, makes staff and owners, writes the OpenAPI document and
who may call what.

    python -m sema_main_api.cli account create --name Acme --credit 1000 --tier growth
    python -m sema_main_api.cli refunds set --account 0198… --undelivered yes
    python -m sema_main_api.cli staff create --email ops@example.com --password -
    python -m sema_main_api.cli owner create --account 0198… --email ann@example.com --password -
    python -m sema_main_api.cli history compare --since 2026-11-20T00:00:00Z
    python -m sema_main_api.cli invoices run --month 2026-10
    python -m sema_main_api.cli secrets rotate
    python -m sema_main_api.cli openapi write docs/openapi.json
    python -m sema_main_api.cli roles write docs/roles.md

What changes something runs with main-api's own settings and is in the audit log; `write` needs no settings.
Secrets are printed once, on stdout, as NAME=value lines (or with --json as one object). `--password -` reads the
password from stdin.
"""

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID

from sema_common.messages.store import projection
from sema_common.platform import logs
from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox
from sema_common.platform.settings import load
from sema_common.values.clock import now
from sema_common.values.errors import Refused, RetryLater
from sema_main_api import arguments
from sema_main_api.accounts import opening
from sema_main_api.accounts import store as accounts
from sema_main_api.app import OPERATIONS, WEBHOOKS, version
from sema_main_api.http import roles
from sema_main_api.http.openapi import document
from sema_main_api.http.passwords import MAX_LENGTH, MIN_LENGTH, hash_password
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.invoices.running import Runs
from sema_main_api.secrets import rotating
from sema_main_api.settings import Settings
from sema_main_api.users import people

EX_TEMPFAIL: Final = 75
"""Exit status when Postgres is away (sysexits.h): the same command may be run again."""

Result = dict[str, str]


async def create_account(args: argparse.Namespace, settings: Settings, db: Database) -> Result:
    """A new account each time it is run: names are not unique."""
    wanted = opening.Opening(args.name, args.type, args.tier, args.credit, args.sender, args.agent)
    async with db.transaction() as tx:
        opened = await opening.open_account(tx, SecretBox(settings.secrets_keys), wanted, _operator())
    return {
        "SEMA_ACCOUNT_ID": str(opened.account_id),
        "SEMA_API_KEY": opened.live_key,
        "SEMA_TEST_API_KEY": opened.test_key,
    }


async def set_refunds(args: argparse.Namespace, _: Settings, db: Database) -> Result:
    """Holds for messages that end from now on; what has ended is not touched."""
    wanted = args.undelivered == "yes"
    async with db.transaction() as tx:
        before = await accounts.set_refund_policy(tx, args.account, wanted)
        if before is None:
            raise Refused("not_found", "There is no such account.")
        audit = Audit(
            _operator(),
            None,
            "account.refund_policy",
            "account",
            str(args.account),
            args.account,
            before={"refund_undelivered": before},
            after={"refund_undelivered": wanted},
        )
        await write_audit(tx, audit)
    return {"SEMA_REFUND_UNDELIVERED": args.undelivered}


async def create_staff(args: argparse.Namespace, _: Settings, db: Database) -> Result:
    """Run again for the same address, it sets password and role anew."""
    password_hash = hash_password(_password(args.password))
    async with db.transaction() as tx:
        user_id = await people.put_staff(tx, args.email, password_hash, args.role, _operator())
    return {"SEMA_USER_ID": str(user_id)}


async def create_owner(args: argparse.Namespace, _: Settings, db: Database) -> Result:
    """Run again for the same address, it sets the password anew."""
    password_hash = hash_password(_password(args.password))
    async with db.transaction() as tx:
        user_id = await people.put_owner(tx, args.account, args.email, password_hash, _operator())
    return {"SEMA_USER_ID": str(user_id)}


async def compare_history(args: argparse.Namespace, _: Settings, db: Database) -> Result:
    """How many messages of that time have a status that their history does not add up to; `rebuild` mends them."""
    found = 0
    while True:
        async with db.transaction(timeout=60.0) as tx:
            differences = await projection.compare(tx, args.since, args.until)
            found += len(differences)
            for each in differences:
                print(f"{each.message_id} is {each.status}, its history says {each.history}", file=sys.stderr)
            if not differences or not args.rebuild:
                break
            await projection.rebuild(tx, differences)
            subject = f"{args.since.isoformat()}/{args.until.isoformat()}"
            after = {"messages": [str(each.message_id) for each in differences]}
            await write_audit(
                tx, Audit(_operator(), None, "history.rebuild", "messages", subject, after=after)
            )
    return {"SEMA_DIFFERENT": str(found)}


async def run_invoices(args: argparse.Namespace, settings: Settings, db: Database) -> Result:
    """Begins or continues the month's run; run again, it makes what is missing and nothing else."""
    runs = Runs(
        db, SecretBox(settings.secrets_keys), settings.invoice_terms, settings.web_app_url.rstrip("/")
    )
    made = await runs.run(args.month, again=True)
    async with db.transaction() as tx:
        month, after = f"{args.month:%Y-%m}", {"made": made}
        await write_audit(tx, Audit(_operator(), None, "invoices.run", "month", month, after=after))
    return {"SEMA_INVOICES_MADE": str(made)}


async def rotate_secrets(_: argparse.Namespace, settings: Settings, db: Database) -> Result:
    """Once it has succeeded, the older of SECRETS_KEYS open nothing that is kept: they may be taken away everywhere."""
    done = await rotating.rotate(db, SecretBox(settings.secrets_keys), _operator())
    for each in done.unreadable:
        print(f"none of SECRETS_KEYS opens {each}", file=sys.stderr)
    if done.unreadable:
        raise Refused("secrets_unreadable", f"{len(done.unreadable)} secrets need a key that is not there.")
    return {"SEMA_SEALED": str(sum(done.sealed.values()))}


def openapi_text() -> str:
    """The document that /openapi.json serves, one key a line, so that a change can be read in a diff."""
    return json.dumps(document(OPERATIONS, version(), WEBHOOKS), indent=2, ensure_ascii=False) + "\n"


def roles_text() -> str:
    """Who may call what, as Markdown."""
    return roles.page(OPERATIONS)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = argparse.ArgumentParser(
        prog="sema_main_api.cli", description="The operators' command line of Sema Link."
    )
    things = root.add_subparsers(required=True, metavar="THING")

    account = _create(
        things, "account", "an account with credit, an approved sender ID and keys", create_account
    )
    account.add_argument("--name", required=True, type=arguments.name)
    account.add_argument("--credit", default=Decimal(0), type=arguments.credit, help="opening credit, in KES")
    account.add_argument("--tier", default="starter", choices=["starter", "growth", "enterprise"])
    account.add_argument("--type", default="direct", choices=["direct", "agent", "agent_customer"])
    account.add_argument("--agent", type=UUID, help="the agent's account, for an agent_customer")
    account.add_argument("--sender", default="SEMALINK", type=arguments.sender)

    refunds = things.add_parser("refunds", help="an account's refund policy")
    policy = refunds.add_subparsers(required=True, metavar="set").add_parser("set", help="set the policy")
    policy.add_argument("--account", required=True, type=UUID)
    policy.add_argument("--undelivered", required=True, choices=["yes", "no"], help="what the network failed")
    policy.add_argument("--json", action="store_true", help="print one JSON object")
    policy.set_defaults(command=set_refunds)

    staff = _create(things, "staff", "a member of staff", create_staff)
    staff.add_argument("--role", default="staff_admin", choices=["staff_admin", "staff_support"])
    owner = _create(things, "owner", "an owner of an account", create_owner)
    owner.add_argument("--account", required=True, type=UUID)
    for person in (staff, owner):
        person.add_argument("--email", required=True, type=arguments.email)
        person.add_argument(
            "--password", required=True, help=f"at least {MIN_LENGTH} characters; - reads stdin"
        )

    history = things.add_parser("history", help="messages' statuses against their events")
    verbs = history.add_subparsers(required=True, metavar="compare|rebuild")
    for verb, what in (("compare", "count and name what differs"), ("rebuild", "and make the status follow")):
        command = verbs.add_parser(verb, help=what)
        command.add_argument(
            "--since", type=arguments.moment, default=now() - timedelta(days=1), help="RFC 3339"
        )
        command.add_argument("--until", type=arguments.moment, default=now(), help="RFC 3339")
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(command=compare_history, rebuild=verb == "rebuild")

    invoices = things.add_parser("invoices", help="the monthly run of invoices")
    run = invoices.add_subparsers(required=True, metavar="run").add_parser("run", help="make what is missing")
    run.add_argument("--month", required=True, type=arguments.month, help="2026-10")
    run.add_argument("--json", action="store_true", help="print one JSON object")
    run.set_defaults(command=run_invoices)

    secrets = things.add_parser("secrets", help="what is sealed at rest")
    command = secrets.add_subparsers(required=True, metavar="rotate").add_parser(
        "rotate", help="seal all anew"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(command=rotate_secrets)

    _write(things, "openapi", "the OpenAPI document", openapi_text)
    _write(things, "roles", "the table of who may call what", roles_text)
    return root


Command = Callable[[argparse.Namespace, Settings, Database], Awaitable[Result]]


def _create(
    things: "argparse._SubParsersAction[argparse.ArgumentParser]", thing: str, what: str, command: Command
) -> argparse.ArgumentParser:
    verbs = things.add_parser(thing, help=what).add_subparsers(required=True, metavar="create")
    create = verbs.add_parser("create", help=f"create {what}")
    create.add_argument("--json", action="store_true", help="print one JSON object")
    create.set_defaults(command=command)
    return create


def _write(
    things: "argparse._SubParsersAction[argparse.ArgumentParser]",
    thing: str,
    what: str,
    text: Callable[[], str],
) -> None:
    verbs = things.add_parser(thing, help=what).add_subparsers(required=True, metavar="write")
    write = verbs.add_parser("write", help=f"write {what} to a file")
    write.add_argument("path", type=Path)
    write.set_defaults(text=text)


def _password(text: str) -> str:
    password = sys.stdin.readline().rstrip("\n") if text == "-" else text
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Refused("validation_failed", f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.")
    return password


def _operator() -> str:
    """Who sits at the keyboard, for the audit log."""
    try:
        return f"operator:{getpass.getuser()}"
    except (KeyError, OSError):
        return "operator"


async def _run(args: argparse.Namespace, settings: Settings) -> Result:
    command: Command = args.command
    async with Database.open(settings.pipeline_database_url, name="cli", max_size=1) as db:
        return await command(args, settings, db)


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    args = parser().parse_args(argv)
    if "path" in args:
        args.path.write_text(args.text())
        return 0
    settings = load(Settings)
    logs.setup("main-api-cli", "error", fd=2)
    try:
        result = asyncio.run(_run(args, settings))
    except Refused as exc:
        print(exc.detail, file=sys.stderr)
        return 1
    except RetryLater as exc:
        print(exc.detail, file=sys.stderr)
        return EX_TEMPFAIL
    print(json.dumps(result) if args.json else "\n".join(f"{name}={value}" for name, value in result.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
