"""The mail that an endpoint was disabled for failing: webhook-delivery disables, and sends no mail."""

from typing import Final

from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.platform.mail import Mail, enqueue
from sema_common.platform.secrets import SecretBox
from sema_main_api.webhooks import store
from sema_main_api.webhooks.endpoints import DISABLED_BY_CUSTOMER

log = get_logger()

TELL_SECONDS: Final = 30.0
AT_ONCE: Final = 50


class Disabled:
    """`room.every("webhooks_disabled", …)`: mail and mark in one commit, so each disabling is told once."""

    def __init__(self, db: Database, box: SecretBox, web: str) -> None:
        self._db = db
        self._box = box
        self._web = web

    async def __call__(self) -> bool:
        """One round; True when there is more."""
        async with self._db.transaction() as tx:
            found = await store.claim_untold(tx, AT_ONCE, DISABLED_BY_CUSTOMER)
            for each in found:
                for to in each.recipients:
                    await enqueue(tx, self._box, _mail(to, self._web, each.url, each.reason))
                log.info("webhook_disabled_told", endpoint_id=str(each.id), account_id=str(each.account_id))
        return len(found) == AT_ONCE


def _mail(to: str, web: str, url: str, reason: str) -> Mail:
    text = f"""We have stopped sending events to your endpoint

{url}

because it did not take them: {reason}.

Events that happen until you enable it again are not sent to it. Once it works, enable it at {web}/webhooks
"""
    return Mail(to, "webhook_disabled", "A webhook endpoint of yours was disabled", text)
