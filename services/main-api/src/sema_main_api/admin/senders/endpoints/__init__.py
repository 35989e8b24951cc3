"""The routes about senders, as data."""

from typing import Final

from sema_main_api.admin.senders import schemas
from sema_main_api.admin.senders.endpoints import deciding, ruling
from sema_main_api.admin.senders.endpoints.deps import Deps
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, Operation

__all__ = ["OPERATIONS", "Deps"]

TAG: Final = "Staff"
SENDER: Final = "/v1/admin/sender-ids/{id}"
RULE: Final = "/v1/admin/sender-rules/{country}"

OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/admin/sender-ids",
        deciding.list_senders,
        "List sender IDs",
        TAG,
        staff=STAFF,
        query=schemas.SenderQuery,
        answers={200: schemas.StaffSenderList},
    ),
    Operation(
        "GET",
        SENDER,
        deciding.show,
        "Show a sender ID and what it looks like",
        TAG,
        staff=STAFF,
        answers={200: schemas.StaffSenderDetail},
    ),
    Operation(
        "POST",
        SENDER + "/approve",
        deciding.approve,
        "Approve a sender ID",
        TAG,
        staff=STAFF,
        body=schemas.Approve,
        answers={200: schemas.StaffSenderDetail},
        problems={403: "`forbidden`", 409: "`sender_id_looks_alike`"},
    ),
    Operation(
        "POST",
        SENDER + "/reject",
        deciding.reject,
        "Reject a sender ID, or take it away",
        TAG,
        staff=STAFF,
        body=schemas.Reject,
        answers={200: schemas.StaffSenderDetail},
    ),
    Operation(
        "GET",
        "/v1/admin/sender-rules",
        ruling.list_rules,
        "List what countries take as senders",
        TAG,
        staff=STAFF,
        answers={200: schemas.SenderRuleList},
    ),
    Operation(
        "PUT",
        RULE,
        ruling.put_rule,
        "Set what a country takes as a sender",
        TAG,
        staff=STAFF_ADMINS,
        body=schemas.PutSenderRule,
        answers={200: schemas.SenderRule},
    ),
    Operation(
        "DELETE",
        RULE,
        ruling.remove_rule,
        "Remove a country's rule for senders",
        TAG,
        staff=STAFF_ADMINS,
        query=schemas.RemoveQuery,
        answers={204: None},
    ),
    Operation(
        "GET",
        "/v1/admin/protected-names",
        ruling.list_names,
        "List protected names",
        TAG,
        staff=STAFF,
        answers={200: schemas.ProtectedNameList},
    ),
    Operation(
        "POST",
        "/v1/admin/protected-names",
        ruling.add_name,
        "Protect a name",
        TAG,
        staff=STAFF_ADMINS,
        body=schemas.AddProtectedName,
        answers={201: schemas.ProtectedName},
        problems={409: "`name_exists`"},
    ),
    Operation(
        "DELETE",
        "/v1/admin/protected-names/{name}",
        ruling.remove_name,
        "Protect a name no more",
        TAG,
        staff=STAFF_ADMINS,
        query=schemas.RemoveQuery,
        answers={204: None},
    ),
)
