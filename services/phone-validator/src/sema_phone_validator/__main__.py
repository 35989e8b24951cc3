"""Starts the room: `python -m sema_phone_validator`."""

from sema_common.platform.runtime import run
from sema_phone_validator.app import open_room
from sema_phone_validator.settings import Settings

if __name__ == "__main__":
    run("phone-validator", Settings, open_room)
