"""The names of the queues: the doors between rooms. How they are declared is `platform.topology`'s."""

from typing import Final, Literal

Lane = Literal["normal", "priority"]

SMS_PRIORITY: Final = "sms.priority"
SMS_NORMAL: Final = "sms.normal"
SMS_CONTENT: Final = "sms.content"
DLR_INBOUND: Final = "dlr.inbound"
CONTACTS_VALIDATE: Final = "contacts.validate"
WEBHOOKS_OUTBOUND: Final = "webhooks.outbound"

QUEUES: Final = (SMS_PRIORITY, SMS_NORMAL, SMS_CONTENT, DLR_INBOUND, CONTACTS_VALIDATE, WEBHOOKS_OUTBOUND)

LANE_QUEUES: Final[dict[Lane, str]] = {"priority": SMS_PRIORITY, "normal": SMS_NORMAL}
