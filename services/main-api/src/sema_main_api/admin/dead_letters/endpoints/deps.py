"""What the endpoints work with."""

from dataclasses import dataclass

from sema_common.platform.db import Database
from sema_common.wire.queues import QUEUES
from sema_main_api.admin.dead_letters.telling import Telling
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database
    telling: Telling


def queue_of(request: Request) -> str:
    """The queue out of the path; 404 for what is none of ours."""
    queue: str = request.path_params["queue"]
    if queue not in QUEUES:
        raise not_found()
    return queue
