"""Starts the room: `python -m sema_content_worker`."""

from sema_common.platform.runtime import run
from sema_content_worker.app import open_room
from sema_content_worker.settings import Settings

if __name__ == "__main__":
    run("content-worker", Settings, open_room)
