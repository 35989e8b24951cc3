"""/v1/agent/…: only for accounts of type `agent`; and /v1/branding for everybody."""

from typing import Final

from sema_main_api.agents import schemas
from sema_main_api.agents.endpoints import branding, customers, pricing, reading
from sema_main_api.agents.endpoints.deps import Deps
from sema_main_api.http.routing import MANAGERS, Operation

__all__ = ["OPERATIONS", "Deps"]

_TAG: Final = "Agents"
_CUSTOMERS: Final = "/v1/agent/customers"
_CUSTOMER: Final = f"{_CUSTOMERS}/{{id}}"
_NOT_AN_AGENT: Final = {403: "`not_an_agent`"}

OPERATIONS: Final = (
    Operation(
        "POST", _CUSTOMERS, customers.create, "Take on a customer", _TAG,
        roles=MANAGERS, creates=True, body=schemas.CreateCustomer, answers={201: schemas.Customer},
        problems={403: "`not_an_agent`", 409: "`email_taken`", 422: "`one_level_only`"},
    ),
    Operation(
        "GET", _CUSTOMERS, customers.list_all, "List customers", _TAG,
        scope="account:read", query=schemas.CustomerQuery, answers={200: schemas.CustomerList}, problems=_NOT_AN_AGENT,
    ),
    Operation(
        "GET", _CUSTOMER, customers.read, "Read a customer", _TAG,
        scope="account:read", answers={200: schemas.Customer}, problems=_NOT_AN_AGENT,
    ),
    Operation(
        "PATCH", _CUSTOMER, customers.change, "Rename a customer, or limit what he spends", _TAG,
        roles=MANAGERS, body=schemas.ChangeCustomer, answers={200: schemas.Customer}, problems=_NOT_AN_AGENT,
    ),
    Operation(
        "POST", f"{_CUSTOMER}/suspend", customers.suspend, "Suspend a customer", _TAG,
        roles=MANAGERS, answers={200: schemas.Customer}, problems={403: "`not_an_agent`", 409: "`already_suspended`"},
    ),
    Operation(
        "POST", f"{_CUSTOMER}/resume", customers.resume, "Let a customer send again", _TAG,
        roles=MANAGERS, answers={200: schemas.Customer},
        problems={403: "`not_an_agent`", 409: "`already_active`, `suspended_by_staff`"},
    ),
    *(
        operation
        for path, whose in ((f"{_CUSTOMER}/pricing", "a customer's rates"), ("/v1/agent/pricing", "rates for all"))
        for operation in (
            Operation(
                "GET", path, pricing.list_rates, f"List {whose}", _TAG,
                scope="billing:read", answers={200: schemas.AgentRates}, problems=_NOT_AN_AGENT,
            ),
            Operation(
                "POST", path, pricing.create_rate, f"Set one of {whose}", _TAG,
                roles=MANAGERS, creates=True, body=schemas.CreateRate, answers={201: schemas.AgentRate},
                problems={403: "`not_an_agent`", 422: "`below_cost`, `unsupported_destination`"},
            ),
            Operation(
                "DELETE", f"{path}/{{rate_id}}", pricing.end_rate, f"End one of {whose}", _TAG,
                roles=MANAGERS, answers={204: None}, problems=_NOT_AN_AGENT,
            ),
        )
    ),
    Operation(
        "GET", "/v1/agent/commissions", reading.commissions, "What customers used and what it earned", _TAG,
        scope="billing:read", query=schemas.CommissionQuery, answers={200: schemas.Commissions}, problems=_NOT_AN_AGENT,
    ),
    Operation(
        "GET", "/v1/agent/messages", reading.messages, "Customers' messages", _TAG,
        scope="messages:read", query=schemas.SoldQuery, answers={200: schemas.SoldMessages},
        problems={**_NOT_AN_AGENT, 404: "`not_found`: a customer of yours"},
    ),
    Operation(
        "GET", "/v1/agent/branding", branding.read, "What customers see", _TAG,
        scope="account:read", answers={200: schemas.Branding}, problems=_NOT_AN_AGENT,
    ),
    Operation(
        "PUT", "/v1/agent/branding", branding.put, "Change what customers see", _TAG,
        roles=MANAGERS, body=schemas.PutBranding, answers={200: schemas.Branding}, problems=_NOT_AN_AGENT,
    ),
    Operation(
        "GET", "/v1/branding", branding.mine, "In whose name this account is served", "Account",
        scope="account:read", answers={200: schemas.Branding},
    ),
)  # fmt: skip
