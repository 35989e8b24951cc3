"""/v1/admin/dlq: `reading` shows letters, `deciding` sends them again or gives them up."""

from sema_main_api.admin.dead_letters import schemas
from sema_main_api.admin.dead_letters.endpoints import deciding, reading
from sema_main_api.admin.dead_letters.endpoints.deps import Deps as Deps
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, Operation

_TAG = "Staff"

OPERATIONS = (
    Operation(
        "GET", "/v1/admin/dlq", reading.queues, "Count dead letters by queue", _TAG,
        staff=STAFF, answers={200: schemas.DeadQueues},
    ),
    Operation(
        "GET", "/v1/admin/dlq/{queue}/messages", reading.letters, "List the dead letters of a queue", _TAG,
        staff=STAFF, query=schemas.LetterQuery, answers={200: schemas.DeadLetterList},
    ),
    Operation(
        "GET", "/v1/admin/dlq/{queue}/messages/{id}", reading.letter, "Read a dead letter", _TAG,
        staff=STAFF, query=schemas.RevealQuery, answers={200: schemas.DeadLetter},
        description="What it holds, why it is here, and what sending it again or discarding it would do now. Numbers "
        "and texts are masked unless `reveal` is asked for, which only `staff_admin` may and the audit log notes.",
    ),
    Operation(
        "POST", "/v1/admin/dlq/{queue}/messages/{id}/republish", deciding.republish, "Send a dead letter again", _TAG,
        staff=STAFF_ADMINS, body=schemas.Republish, answers={200: schemas.DeadLetterEntry},
        problems={409: "`nothing_to_republish`, `already_decided`", 422: "`unreadable_payload`"},
        description="Repeating it changes nothing. With `payload` its form is mended: the wire model must take it, "
        "and whom it is about, what it says and what it costs must be what it was. Jobs of messages that have ended "
        "are left out.",
    ),
    Operation(
        "POST", "/v1/admin/dlq/{queue}/messages/{id}/discard", deciding.discard, "Give a dead letter up", _TAG,
        staff=STAFF_ADMINS, body=schemas.Reasoned, answers={200: schemas.DeadLetterEntry},
        problems={409: "`already_decided`"},
        description="Messages whose job it held and that nobody has submitted fail as `dead_lettered` and are "
        "refunded; a campaign that waits for its verdict is rejected, a validation fails. Repeating changes nothing.",
    ),
    Operation(
        "POST", "/v1/admin/dlq/{queue}/republish", deciding.republish_many, "Send many dead letters again", _TAG,
        staff=STAFF_ADMINS, body=schemas.RepublishMany, answers={200: schemas.RepublishResults},
        description="Each letter stands alone. Letters of suspended accounts are skipped: send them one by one.",
    ),
)  # fmt: skip
