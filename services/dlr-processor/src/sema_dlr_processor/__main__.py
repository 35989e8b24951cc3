"""Starts the room: `python -m sema_dlr_processor`."""

from sema_common.platform.runtime import run
from sema_dlr_processor.app import open_room
from sema_dlr_processor.settings import Settings

if __name__ == "__main__":
    run("dlr-processor", Settings, open_room)
