"""What the handlers of this module stand on."""

from dataclasses import dataclass

from sema_common.platform.db import Database
from sema_main_api.contacts.telling import Telling
from sema_main_api.contacts.uploading import Uploads
from sema_main_api.http.tenants import TenantReads


@dataclass(frozen=True, slots=True)
class Deps:
    tenant: TenantReads
    pipeline: Database
    telling: Telling
    uploads: Uploads
