"""Who a request acts for: the words that every module uses for it."""

from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from typing import Literal
from uuid import UUID

from sema_common.values.errors import Refused


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone acting for an account. `key_id` or `user_id` is set, as `kind` says; a key has scopes, a user a role.

    `account_id` is whose data it is, `billing_account_id` who pays, `tenant_id` the wall that both stand behind.
    Rates and guards are None where the tier decides, `key_per_second` where the account's rate does. A key works
    from its `networks` only; none: from anywhere.
    """

    kind: Literal["key", "user"]
    account_id: UUID
    tenant_id: UUID
    billing_account_id: UUID
    tier: str
    currency: str
    account_status: str
    account_type: str
    key_id: UUID | None = None
    user_id: UUID | None = None
    role: str | None = None
    session_id: str | None = None
    scopes: frozenset[str] = frozenset()
    mode: Literal["live", "test"] = "live"
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    key_per_second: int | None = None
    rate_per_second: int | None = None
    rate_burst: int | None = None
    priority_per_second: int | None = None
    recipient_per_10_minutes: int | None = None
    prefix_per_10_minutes: int | None = None
    spend_per_hour: Decimal | None = None

    @property
    def id(self) -> UUID:
        """The key's or the user's own id."""
        return self.key_id or self.user_id or self.account_id

    def require_active(self) -> None:
        """Refused(403) when the account is suspended: it may read, and start nothing."""
        if self.account_status != "active":
            raise Refused("account_suspended", "This account is suspended; please contact support.", 403)


@dataclass(frozen=True, slots=True)
class Staff:
    """One of us: belongs to no account."""

    user_id: UUID
    role: str
    session_id: str | None = None


Principal = Caller | Staff
