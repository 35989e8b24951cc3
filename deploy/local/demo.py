"""`make demo`: the main job of Sema Link on a fresh machine, told line by line.

Starts the stack, registers a webhook, sends real messages over HTTP, follows each through every room to the
signed webhook that its customer gets, and verifies each signature with the Standard Webhooks library.
Exit status 0 means: a verified `message.delivered` came for every message, one one-time password among
them, every room did its work, and the balance is the ledger's.

A stack that was running before is used and left running. One that this started is stopped at the end,
because a stranger's machine should be as it was; `--keep` leaves it up for the next step.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import sys
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import asyncpg
import httpx
from rich.markup import escape
from rich.table import Table

from deploy.local import bootstrap, control, demo_campaign, demo_rooms, demo_top_up
from deploy.local.credentials import load, read_env
from deploy.local.demo_customer import Story, console, milliseconds, number
from deploy.local.layout import DEFAULT_HOME, Layout
from sema_common.platform import logs

PARAGRAPH: Final = (
    "Dear customer, your order 4471 left our warehouse in Nairobi this morning and will be at your door "
    "tomorrow between 9:00 and 12:00. Our driver will call you half an hour before. If nobody is at home, he "
    "leaves it with your neighbour, or you can collect it at the shop on Moi Avenue until Saturday. "
    "Reply with another day if tomorrow does not suit you. Asante sana!"
)


async def tell(layout: Layout) -> list[str]:
    """The whole story on a running stack; what went wrong, best nothing."""
    env = read_env(layout.env_file)
    headers = {"authorization": f"Bearer {env['SEMA_API_KEY']}"}
    async with httpx.AsyncClient(base_url=env["SEMA_API_URL"], headers=headers, timeout=15.0) as http:
        story = Story(env, http)
        _chapter("A customer registers where to be told")
        webhook_id = await story.register()
        try:
            _chapter("and sends")
            await _send_all(story, layout)
            _chapter("What happens, as the customer hears it")
            await story.listen()
            await _print_journeys(story)
            _chapter("One trace through the rooms: the one-time password")
            rooms = await demo_rooms.show_trace(console, layout, story.sent[0].trace_id)
            if not rooms >= {"main-api", "sms-worker", "dlr-processor", "webhook-delivery"}:
                story.failures.append(f"the trace was seen in {', '.join(sorted(rooms)) or 'no room'} only")
            _chapter("A campaign")
            story.failures += await demo_campaign.tell(console, http)
            _chapter("All seven rooms")
            story.failures += await demo_rooms.visit(console, env)
            _chapter("A payment by M-Pesa")
            story.failures += await demo_top_up.tell(console, http)
            _chapter("The money")
            await _print_money(story)
        finally:
            await http.delete(f"/v1/webhooks/{webhook_id}")
    return story.failures


async def _send_all(story: Story, layout: Layout) -> None:
    otp = f"Your SEMALINK code is {random.randrange(10**6):06}. It is valid for 5 minutes."
    await story.send("one-time password, priority lane", otp, lane="priority")
    await story.send("plain text", "Habari! Your parcel has arrived at the Westlands shop.")
    await story.send("emoji, so UCS-2", "Hongera! You have won a free lunch 🎉")
    await story.send("three segments", PARAGRAPH)
    await story.send(
        "with metadata", "Invoice 2026-118 is paid. Thank you.", metadata={"invoice": "2026-118"}
    )
    await story.send(
        "with its own callback_url",
        "Your table for two is booked.",
        callback_url=story.hook(story.callback),
    )
    order, key = {"to": number(), "body": "Order 4471 confirmed."}, f"demo-{secrets.token_hex(8)}"
    await story.send("with an Idempotency-Key", **order, key=key)
    again = await story.send("the same once more, same key", **order, key=key)
    if not again.headers.get("idempotent-replayed"):
        story.failures.append("the same Idempotency-Key was not replayed")
    await story.send_batch("a batch", [f"Reminder {n}: the clinic opens at 8:00." for n in (1, 2, 3)])
    test_key = story.env["SEMA_TEST_API_KEY"]
    await story.send("with a test key: free", "Only a rehearsal.", token=test_key)
    refused = await story.send("a sender that nobody approved", "Hello.", sender="MYBANK")
    story.expect(refused, 403, "sender_id_not_approved")
    refused = await story.send("a country that is not served", "Bonjour.", to="+33612345678")
    story.expect(refused, 422, "unsupported_destination")
    poor = await bootstrap.operators(
        layout,
        load(layout.secrets_file),
        "account",
        "create",
        "--name",
        "Demo, almost broke",
        "--credit",
        "0.5",
    )
    refused = await story.send("an account with KES 0.50 left", "Too dear.", token=poor["SEMA_API_KEY"])
    story.expect(refused, 402, "insufficient_credit")


async def _print_journeys(story: Story) -> None:
    """Every message's way, in milliseconds since it was created."""
    ids = [sent.message["id"] for sent in story.sent]
    connection = await asyncpg.connect(story.env["DATABASE_URL"])
    try:
        rows = await connection.fetch(
            "SELECT message_id::text, min(received_at) AS at FROM dlr.dlrs"
            " WHERE message_id = ANY($1::uuid[]) GROUP BY 1",
            ids,
        )
    finally:
        await connection.close()
    reported = {row["message_id"]: row["at"] for row in rows}
    table = Table(
        "message", "answer", "queued", "sent", "report", "webhook", "cost", box=None, padding=(0, 1)
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for sent in story.sent:
        message = (await story.http.get(f"/v1/messages/{sent.message['id']}")).json()
        start = datetime.fromisoformat(message["created_at"])
        times = [message["queued_at"], message["sent_at"]]
        moments = [
            *(datetime.fromisoformat(at) if at else None for at in times),
            reported.get(sent.message["id"]),
            sent.receipts.get("message.delivered"),
        ]
        steps = [f"+{milliseconds(start, at):.0f}" if at else "?" for at in moments]
        table.add_row(sent.what, f"{sent.answered_ms:.1f}", *steps, message["cost"]["amount"])
    console.print()
    console.print(table)
    console.print(
        "  [dim]milliseconds: the HTTP answer; then since creation: on RabbitMQ, taken by the aggregator, its "
        "report here, webhook[/]"
    )
    passwords = sum(s.delivered for s in story.sent if s.message["lane"] == "priority")
    done = sum(s.delivered for s in story.sent)
    console.print(
        f"\n  {done} of {len(story.sent)} messages delivered, {passwords} one-time password among them; "
        f"{story.verified} webhooks, every signature verified with the Standard Webhooks library"
    )
    if not passwords:
        story.failures.append("no one-time password was delivered")


async def _print_money(story: Story) -> None:
    """What these messages cost, what was taken for them, and that the balance is the sum of its ledger."""
    ids = [sent.message["id"] for sent in story.sent]
    cost = sum((Decimal(sent.message["cost"]["amount"]) for sent in story.sent), Decimal(0))
    connection = await asyncpg.connect(story.env["DATABASE_URL"])
    try:
        row = await connection.fetchrow(
            "SELECT balance, (SELECT sum(amount) FROM billing.credit_ledger l WHERE l.account_id = c.account_id)"
            " AS ledger, (SELECT -sum(amount) FROM billing.credit_ledger WHERE reference = ANY($2::uuid[]))"
            " AS charged FROM billing.credits c WHERE account_id = $1::uuid",
            story.env["SEMA_ACCOUNT_ID"],
            ids,
        )
    finally:
        await connection.close()
    assert row is not None
    told = (await story.http.get("/v1/balance")).raise_for_status().json()["balance"]
    console.print(f"  the messages cost {cost}, their charges in the ledger add up to {row['charged']}")
    console.print(
        f"  GET /v1/balance says {told['currency']} {told['amount']}; the balance is {row['balance']}, and the whole"
        f" ledger of the account adds up to {row['ledger']}"
    )
    if row["charged"] != cost or row["balance"] != row["ledger"]:
        story.failures.append("balance, ledger and costs do not agree")


def _chapter(title: str) -> None:
    console.print(f"\n[bold]{title}[/]")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo", description=__doc__)
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME, help="where the stack lives")
    parser.add_argument("--keep", action="store_true", help="leave the stack running that this started")
    arguments = parser.parse_args()
    started = time.monotonic()
    layout = control.find(arguments.home)
    was_running = control.read_status(layout) is not None
    _chapter("The stack: three stores, a sandbox in the aggregator's place, seven services")
    failures: list[str]
    try:
        layout = control.up(layout)
        logs.setup("demo", "error")
        console.print(f"  up after {time.monotonic() - started:.0f} s; logs in {layout.log}")
        failures = asyncio.run(tell(layout))
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        failures = [f"{type(error).__name__}: {error}"]
    finally:
        if not was_running and not arguments.keep:
            control.down(layout)
    took = time.monotonic() - started
    if failures:
        console.print(f"\n[bold red]The story broke off[/] after {took:.0f} s:")
        for failure in failures:
            console.print(f"  - {escape(failure)}")
        sys.exit(1)
    console.print(f"\n[bold green]It all happened[/], in {took:.0f} s.")
    _say_what_next(was_running or arguments.keep, layout)


def _say_what_next(running: bool, layout: Layout) -> None:
    env_file = os.path.relpath(layout.env_file)
    up = "" if running else "make up\n  "
    console.print(
        f"""
[bold]Next[/], by hand:

  {up}. {env_file}
  curl -s $SEMA_API_URL/v1/messages -H "Authorization: Bearer $SEMA_API_KEY" -H 'Content-Type: application/json' \\
       -d '{{"to": "+254712345678", "from": "SEMALINK", "body": "Habari!"}}'
  curl -s $SEMA_API_URL/v1/messages/[italic]ID[/]/events -H "Authorization: Bearer $SEMA_API_KEY"

and then README.md, docs/journey.md, and $SEMA_API_URL/docs in a browser."""
    )


if __name__ == "__main__":
    try:
        main()
    except control.StackError as error:
        sys.exit(str(error))
