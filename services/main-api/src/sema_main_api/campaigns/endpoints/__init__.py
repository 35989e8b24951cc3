"""The campaign routes, as data."""

from typing import Final

from sema_main_api.campaigns import schemas
from sema_main_api.campaigns.endpoints import creating, moving, reading
from sema_main_api.campaigns.endpoints.deps import Deps
from sema_main_api.http.routing import WRITERS, Operation

__all__ = ["OPERATIONS", "Deps"]

_TAG: Final = "Campaigns"
_SUBMIT: Final = {
    403: "sender_id_not_approved, account_suspended",
    409: "list_not_validated",
    422: "no_recipients",
    503: "overloaded, unavailable",
}

OPERATIONS: Final = (
    Operation(
        "POST", "/v1/campaigns", creating.create, "Submit a campaign", _TAG,
        scope="campaigns:write", roles=WRITERS, creates=True, body=schemas.CreateCampaign,
        answers={202: schemas.Campaign}, problems={402: "insufficient_credit", **_SUBMIT},
        description="Recipients are the valid contacts of the list that have not opted out, each number once. They and "
        "their prices are fixed now, and what all of them cost is reserved; what is not spent comes back at the end. "
        "The text then goes to its content check, and to the recipients by the normal lane.",
    ),
    Operation(
        "POST", "/v1/campaigns/estimate", creating.estimate, "What a campaign would come to", _TAG,
        scope="campaigns:read", body=schemas.CreateCampaign,
        answers={200: schemas.CampaignEstimate}, problems=_SUBMIT,
        description="The list is read and priced as a submission would, and nothing is written. Few run at a time: "
        "503 `overloaded` when too many wait.",
    ),
    Operation(
        "GET", "/v1/campaigns", reading.list_all, "List campaigns", _TAG,
        scope="campaigns:read", query=schemas.CampaignQuery, answers={200: schemas.CampaignList},
        description="Newest first. In `totals`, `contacts`, `waiting` and `refused` are exact. While messages still "
        "move they are not counted for a list: all of them are `queued` until the campaign is completed, then `sent`. "
        "`GET /v1/campaigns/{id}` counts them; once all have ended the list has that count too.",
    ),
    Operation(
        "GET", "/v1/campaigns/{id}", reading.read, "One campaign", _TAG,
        scope="campaigns:read", answers={200: schemas.Campaign}, description="`totals` are counted now.",
    ),
    Operation(
        "GET", "/v1/campaigns/{id}/recipients", reading.list_recipients, "Its recipients, and who was refused", _TAG,
        scope="campaigns:read", query=schemas.RecipientQuery, answers={200: schemas.RecipientList},
        description="Kept for 30 days after the end. `?refused=true`: who got no message and is not charged, and why; "
        "`?missing=field`: who lacks a merge field.",
    ),
    Operation(
        "PATCH", "/v1/campaigns/{id}/cancel", moving.cancel, "Cancel a campaign", _TAG,
        scope="campaigns:write", roles=WRITERS, answers={200: schemas.Campaign}, problems={409: "not_cancellable"},
        description="While submitted, pending_content_check, approved, scheduled or paused. "
        "What it has reserved and not spent is returned, once.",
    ),
    Operation(
        "PATCH", "/v1/campaigns/{id}/pause", moving.pause, "Pause a campaign", _TAG,
        scope="campaigns:write", roles=WRITERS, answers={200: schemas.Campaign}, problems={409: "not_pausable"},
        description="While queued or sending. Messages that are on their way already go on.",
    ),
    Operation(
        "PATCH", "/v1/campaigns/{id}/resume", moving.resume, "Resume a campaign", _TAG,
        scope="campaigns:write", roles=WRITERS, answers={200: schemas.Campaign}, problems={409: "not_resumable"},
    ),
)  # fmt: skip
