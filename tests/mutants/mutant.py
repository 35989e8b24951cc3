"""What a seeded defect is, and where the trees are that the catalogue speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COMMON: Final = "libs/common/src/sema_common"
MAIN_API: Final = "services/main-api/src/sema_main_api"
SMS_WORKER: Final = "services/sms-worker/src/sema_sms_worker"
UNIT: Final = "libs/common/tests/unit"
INTEGRATION: Final = "libs/common/tests/integration"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` is in `path` exactly once and becomes `new`; then `test` must fail, which without it passes."""

    name: str
    path: str
    old: str
    new: str
    test: str
