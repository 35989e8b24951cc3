"""Jobs for content-worker on `sms.content`: the template stays in Postgres, the job names the campaign."""

from typing import ClassVar
from uuid import UUID

from sema_common.wire.envelope import WireMessage


class ScreenCampaign(WireMessage):
    """Judge one campaign's template. Only a campaign that waits for its verdict is touched."""

    TYPE: ClassVar[str] = "content.screen"
    campaign_id: UUID
    account_id: UUID
