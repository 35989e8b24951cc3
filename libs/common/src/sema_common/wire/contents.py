"""What each queue may carry: for whoever looks at a queue's messages without being its room."""

from typing import Final

from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.dlr import OverdueMessages, RawDlrs, RematchDlrs
from sema_common.wire.envelope import WireMessage
from sema_common.wire.queues import (
    CONTACTS_VALIDATE,
    DLR_INBOUND,
    SMS_CONTENT,
    SMS_NORMAL,
    SMS_PRIORITY,
    WEBHOOKS_OUTBOUND,
)
from sema_common.wire.sms import SettleAttempts, SmsJobs
from sema_common.wire.webhook import Facts, Redeliver

CONTENTS: Final[dict[str, tuple[type[WireMessage], ...]]] = {
    SMS_PRIORITY: (SmsJobs, SettleAttempts),
    SMS_NORMAL: (SmsJobs, SettleAttempts),
    SMS_CONTENT: (ScreenCampaign,),
    DLR_INBOUND: (RawDlrs, RematchDlrs, OverdueMessages),
    CONTACTS_VALIDATE: (ValidateContacts,),
    WEBHOOKS_OUTBOUND: (Facts, Redeliver),
}


def wire_class(queue: str, type_: str, version: int) -> type[WireMessage] | None:
    """The class of a message by what it says it is; None for what the queue does not carry."""
    fits = (cls for cls in CONTENTS[queue] if (type_, version) == (cls.TYPE, cls.VERSION))
    return next(fits, None)
