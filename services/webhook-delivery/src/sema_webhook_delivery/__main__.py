from sema_common.platform.runtime import run
from sema_webhook_delivery.app import open_room
from sema_webhook_delivery.settings import Settings

if __name__ == "__main__":
    run("webhook-delivery", Settings, open_room)
