"""Starts the room: `python -m sema_dlr_webhook`."""

from sema_common.platform.runtime import run
from sema_dlr_webhook.app import open_room
from sema_dlr_webhook.settings import Settings

if __name__ == "__main__":
    run("dlr-webhook", Settings, open_room)
