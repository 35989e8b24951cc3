"""Starts the room: `python -m sema_main_api`."""

from sema_common.platform.runtime import run
from sema_main_api.app import open_room
from sema_main_api.settings import Settings

if __name__ == "__main__":
    run("main-api", Settings, open_room)
