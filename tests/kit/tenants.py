"""Accounts that own one of everything, people and keys of every kind, and how a stranger would ask for what is theirs.

`PLACES` says what an id in a path names, `BODIES` what a valid body of an operation looks like: a route that is missing
there fails the tests that are made out of the OpenAPI document, until somebody says what it is about.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import httpx

from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from sema_main_api.http.passwords import hash_password
from sema_main_api.http.routing import SCOPES
from tests.kit.accounting import insert_invoice

Headers = dict[str, str]
Open = Callable[..., Awaitable[Opened]]

ROLES: Final = ("owner", "admin", "developer", "viewer")
PASSWORD: Final = "correct horse battery"

PLACES: Final = {
    "/v1/auth/sessions/{id}": "session",
    "/v1/users/{id}": "user",
    "/v1/messages/{id}": "message",
    "/v1/contact-lists/{id}": "list",
    "/v1/contact-lists/{id}/contacts/{contact_id}": "contact",
    "/v1/validation-jobs/{id}": "job",
    "/v1/campaigns/{id}": "campaign",
    "/v1/suppressions/{id}": "suppression",
    "/v1/top-ups/{id}": "top_up",
    "/v1/api-keys/{id}": "key",
    "/v1/webhooks/{id}": "webhook",
    "/v1/webhook-deliveries/{id}": "delivery",
    "/v1/invoices/{id}": "invoice",
    "/v1/agent/customers/{id}": "customer",
    "/v1/agent/customers/{id}/pricing/{rate_id}": "rate",
    "/v1/agent/pricing/{rate_id}": "common_rate",
}
"""What each id in a path names, by the path up to it."""

EVERYBODYS: Final = {"/v1/statements/{month}": f"{now():%Y-%m}"}
"""Parameters that name nothing of anybody: each account has its own behind the same value."""

Body = Callable[[Mapping[str, str]], dict[str, Any]]

_SEND: Final = {"to": "+254712345678", "from": "SEMALINK", "body": "Habari"}
_WEBHOOK: Final = {"url": "https://hooks.example.com/x", "events": ["message.sent"]}

_RATE: Final = {"country": "KE", "price": {"amount": "9", "currency": "KES"}}


def _campaign(things: Mapping[str, str]) -> dict[str, Any]:
    return {"name": "C", "contact_list_id": things["list"], "from": "SEMALINK", "message": "Habari"}


BODIES: Final[dict[str, Body]] = {
    "PUT /v1/balance-alert": lambda _: {"threshold": {"amount": "5.00", "currency": "KES"}},
    "PUT /v1/billing-profile": lambda _: {"legal_name": "Acme Ltd"},
    "POST /v1/users": lambda _: {"email": f"{new_id().hex}@example.com", "role": "viewer"},
    "PATCH /v1/users/{id}": lambda _: {"name": "Taken"},
    "POST /v1/messages": lambda _: _SEND,
    "POST /v1/messages/batch": lambda _: {"messages": [_SEND]},
    "POST /v1/messages/estimate": lambda _: _SEND,
    "POST /v1/contact-lists": lambda _: {"name": "Mine"},
    "POST /v1/contact-lists/{id}/contacts": lambda _: {"contacts": [{"phone": "+254712000001"}]},
    "PATCH /v1/contact-lists/{id}/contacts/{contact_id}": lambda _: {"name": "Taken"},
    "POST /v1/campaigns": _campaign,
    "POST /v1/campaigns/estimate": _campaign,
    "POST /v1/top-ups": lambda _: {"amount": {"amount": "10", "currency": "KES"}, "phone": "+254712000003"},
    "POST /v1/suppressions": lambda _: {"phone": "+254712000002"},
    "POST /v1/api-keys": lambda _: {"name": "Mine"},
    "PATCH /v1/api-keys/{id}": lambda _: {"name": "Taken"},
    "POST /v1/api-keys/{id}/rotate": lambda _: {},
    "POST /v1/sender-ids": lambda _: {"sender": "MINE"},
    "POST /v1/webhooks": lambda _: _WEBHOOK,
    "POST /v1/agent/customers": lambda _: {"name": "Mine"},
    "PATCH /v1/agent/customers/{id}": lambda _: {"name": "Taken"},
    "POST /v1/agent/customers/{id}/pricing": lambda _: _RATE | {"mno": "Airtel"},
    "POST /v1/agent/pricing": lambda _: _RATE | {"mno": "Airtel"},
    "PUT /v1/agent/branding": lambda _: {"name": "Mine"},
    "PATCH /v1/webhooks/{id}": lambda _: {"enabled": False},
}
"""A valid body of every operation of customers that takes one; `things` are those that it may name."""


@dataclass
class Tenant:
    """An account, who acts for it, and what it owns."""

    name: str
    opened: Opened
    kind: str = "direct"
    keys: dict[str, Headers] = field(default_factory=dict)
    people: dict[str, Headers] = field(default_factory=dict)
    things: dict[str, str] = field(default_factory=dict)
    canaries: set[str] = field(default_factory=set)

    @property
    def account_id(self) -> UUID:
        return self.opened.account_id

    @property
    def owner(self) -> Headers:
        return self.people["owner"]

    def callers(self) -> Iterator[tuple[str, Headers]]:
        """Everybody who acts for it, by what he is."""
        yield from self.people.items()
        yield from self.keys.items()


class World:
    """Makes tenants through the door that customers use, and what no door makes by the owner's hand."""

    def __init__(self, client: httpx.AsyncClient, open_: Open, owner: Database) -> None:
        self.client = client
        self._open = open_
        self._owner = owner
        self._hash = hash_password(PASSWORD)

    async def tenant(self, name: str, *, every_scope: bool = False, **kind: Any) -> Tenant:
        """An account with a user of every role and a key with all scopes; `every_scope`: one for each besides."""
        opened = await self._open(name, tier="enterprise", **kind)
        tenant = Tenant(name, opened, kind.get("type", "direct"))
        for role in ROLES:
            tenant.people[role] = await self._person(tenant, role)
        tenant.keys["key"] = {"authorization": f"Bearer {opened.live_key}"}
        for scope in SCOPES if every_scope else ():
            made = await self._post(tenant, "/v1/api-keys", {"name": scope, "scopes": [scope]})
            tenant.keys[scope] = {"authorization": f"Bearer {made['secret']}"}
        return tenant

    async def furnish(self, tenant: Tenant) -> Tenant:
        """One of everything, all of it marked: whoever shows a mark to somebody else has leaked."""
        mark = f"canary-{tenant.name}"
        things = tenant.things
        things["list"] = (await self._post(tenant, "/v1/contact-lists", {"name": mark}))["id"]
        contacts = {"contacts": [{"phone": "+254712345001", "name": mark}]}
        path = f"/v1/contact-lists/{things['list']}/contacts"
        things["job"] = (await self._post(tenant, path, contacts))["validation_job_id"]
        things["contact"] = (await self._get(tenant, path))["data"][0]["id"]
        await self._validated(things)
        campaign = {"contact_list_id": things["list"], "from": "SEMALINK", "name": mark, "message": mark}
        things["campaign"] = (await self._post(tenant, "/v1/campaigns", campaign))["id"]
        message = {"to": "+254712345002", "from": "SEMALINK", "body": mark, "metadata": {"mark": mark}}
        things["message"] = (await self._post(tenant, "/v1/messages", message))["id"]
        suppression = {"phone": "+254712345003", "reason": mark}
        things["suppression"] = (await self._post(tenant, "/v1/suppressions", suppression))["id"]
        hook = {"url": f"https://{mark}.example.com/x", "events": ["message.sent"]}
        made = await self._post(tenant, "/v1/webhooks", hook)
        things["webhook"] = made["id"]
        things["delivery"] = await self._delivered(tenant, made["id"], mark)
        key = await self._post(tenant, "/v1/api-keys", {"name": mark})
        things["key"] = key["id"]
        await self._post(tenant, "/v1/sender-ids", {"sender": f"C{new_id().hex[-8:]}"})
        invited = {"email": f"{mark}@example.com", "role": "viewer", "name": mark}
        things["user"] = (await self._post(tenant, "/v1/users", invited))["id"]
        things["top_up"] = await self._topped_up(tenant)
        things["session"] = (await self._get(tenant, "/v1/auth/sessions"))["data"][0]["id"]
        things["invoice"] = str(await insert_invoice(self._owner, tenant.account_id, mark))
        if tenant.kind == "agent":
            await self._furnish_agent(tenant, mark)
        tenant.canaries = {mark, made["secret"], key["secret"], str(tenant.account_id), *_ids(things)}
        return tenant

    async def _furnish_agent(self, tenant: Tenant, mark: str) -> None:
        """A customer of his own, with a rate, and a rate for all."""
        customers = "/v1/agent/customers"
        things = tenant.things
        things["customer"] = (await self._post(tenant, customers, {"name": mark}))["id"]
        things["rate"] = (await self._post(tenant, f"{customers}/{things['customer']}/pricing", _RATE))["id"]
        things["common_rate"] = (await self._post(tenant, "/v1/agent/pricing", _RATE))["id"]

    async def _person(self, tenant: Tenant, role: str) -> Headers:
        email = f"{role}-{new_id().hex}@example.com"
        await self._owner.execute(
            "INSERT INTO core.users (id, tenant_id, account_id, email, password_hash, role)"
            " SELECT $1, tenant_id, id, $3, $4, $5 FROM core.accounts WHERE id = $2",
            *(new_id(), tenant.account_id, email, self._hash, role),
        )
        answer = await self.client.post("/v1/auth/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return {"authorization": f"Bearer {answer.json()['access_token']}"}

    async def _post(self, tenant: Tenant, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.post(path, json=body, headers=tenant.owner)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def _get(self, tenant: Tenant, path: str) -> dict[str, Any]:
        answer = await self.client.get(path, headers=tenant.owner)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def _validated(self, things: Mapping[str, str]) -> None:
        """What phone-validator would do."""
        await self._owner.execute(
            "UPDATE core.contacts SET validity = 'valid', msisdn = phone, country = 'KE', mno = 'Safaricom'"
            " WHERE contact_list_id = $1",
            UUID(things["list"]),
        )
        await self._owner.execute(
            "UPDATE core.contact_validation_jobs SET status = 'completed' WHERE id = $1", UUID(things["job"])
        )

    async def _delivered(self, tenant: Tenant, webhook: str, mark: str) -> str:
        """What webhook-delivery would write."""
        delivery = new_id()
        await self._owner.execute(
            "INSERT INTO webhooks.deliveries (id, tenant_id, account_id, endpoint_id, target, url, event_id, type,"
            " payload, state, completed_at) SELECT $1, tenant_id, id, $2, 'x', 'https://x.example.com', $1,"
            " 'message.sent', $3, 'failed', now() FROM core.accounts WHERE id = $4",
            *(delivery, UUID(webhook), mark, tenant.account_id),
        )
        await self._owner.execute(
            "INSERT INTO webhooks.webhook_delivery_attempts (delivery_id, attempt, tenant_id, started_at, duration_ms,"
            " response) SELECT $1, 1, tenant_id, now(), 1, $2 FROM core.accounts WHERE id = $3",
            *(delivery, mark, tenant.account_id),
        )
        return str(delivery)

    async def _topped_up(self, tenant: Tenant) -> str:
        """What Daraja would have brought about."""
        top_up = new_id()
        await self._owner.execute(
            "INSERT INTO billing.top_ups (id, tenant_id, account_id, amount, currency, msisdn, account_reference,"
            " status, created_at, settled_at)"
            " SELECT $1, tenant_id, id, 10, 'KES', '+254712345004', $2, 'succeeded', now(), now()"
            " FROM core.accounts WHERE id = $3",
            *(top_up, top_up.hex[-10:].upper(), tenant.account_id),
        )
        return str(top_up)


def _ids(things: Mapping[str, str]) -> Iterator[str]:
    """Ids that nothing else looks like: the number of a rate may be anywhere."""
    return (value for value in things.values() if not value.isdecimal())


def names_in(path: str) -> list[tuple[str, str]]:
    """What each parameter of a path names: (parameter, thing); KeyError for a place that nobody has described."""
    found = [(each[1], path[: each.end()]) for each in re.finditer(r"{(\w+)}", path)]
    return [(parameter, PLACES[place]) for parameter, place in found if place not in EVERYBODYS]


def filled(path: str, ids: Mapping[str, str]) -> str:
    """The path with these ids in it, and with what is everybody's."""
    for place, value in EVERYBODYS.items():
        if path.startswith(place):
            path = path.replace(place, re.sub(r"{\w+}", value, place))
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", value)
    return path
