"""Starts the room: `python -m sema_sms_worker`."""

from sema_common.platform.runtime import run
from sema_sms_worker.app import open_room
from sema_sms_worker.settings import Settings

if __name__ == "__main__":
    run("sms-worker", Settings, open_room)
