"""What the messaging routes work with."""

from dataclasses import dataclass

from sema_common.platform.db import Database
from sema_main_api.http.limits import Limits
from sema_main_api.http.tenants import TenantReads
from sema_main_api.messaging.accepting import Accepting
from sema_main_api.messaging.guarding import Guards
from sema_main_api.messaging.reference import ReferenceData
from sema_main_api.messaging.rules.refusals import Refusals


@dataclass(frozen=True, slots=True)
class Messaging:
    """`tenant` reads behind row-level security, `pipeline` looks idempotency keys up."""

    accepting: Accepting
    reference: ReferenceData
    limits: Limits
    guards: Guards
    pipeline: Database
    tenant: TenantReads
    allow_loopback: bool
    refusals: Refusals
