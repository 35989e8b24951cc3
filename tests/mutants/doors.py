"""Defects of the doors: tenants, people, reports coming in, webhooks going out."""

from typing import Final

from tests.mutants.mutant import COMMON, MAIN_API, Mutant

DOORS: Final = (
    Mutant(
        "a tenant's context outlives its transaction",
        f"{MAIN_API}/http/store.py",
        "SELECT set_config('app.tenant_id', $1, true)",
        "SELECT set_config('app.tenant_idle', $1, true)",
        "services/main-api/tests/integration/test_billing.py::test_a_new_account_has_its_opening_credit",
    ),
    Mutant(
        "a late failure takes a delivery back",
        f"{COMMON}/messages/store/reports.py",
        "orch.status_rank(r.status) > orch.status_rank(m.status)",
        "orch.status_rank(r.status) <> orch.status_rank(m.status)",
        "services/dlr-processor/tests/integration/test_room.py::test_a_contradiction_moves_nothing_and_is_kept",
    ),
    Mutant(
        "a report of a message that nobody knows is refused",
        "services/dlr-webhook/src/sema_dlr_webhook/endpoints.py",
        "                await self._read(receive, body, limit=rules.MAX_BODY - len(query))\n",
        "                await self._read(receive, body, limit=rules.MAX_BODY - len(query))\n"
        '                if not body.startswith(b"{"):\n'
        '                    raise Refused("unknown_message", "no such message", 404)\n',
        "services/dlr-webhook/tests/unit/test_door.py::test_any_body_of_any_type_is_taken_as_it_came",
    ),
    Mutant(
        "200 to a report before the broker has it",
        "services/dlr-webhook/src/sema_dlr_webhook/clients.py",
        "            answers += [outcome] * len(bundle)\n",
        "            answers += [None] * len(bundle)\n",
        "services/dlr-webhook/tests/unit/test_clients.py",
    ),
    Mutant(
        "webhooks follow redirects",
        "services/webhook-delivery/src/sema_webhook_delivery/clients.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "services/webhook-delivery/tests/integration/test_room.py"
        "::test_a_redirect_is_a_failure_and_never_followed",
    ),
    Mutant(
        "an invitation locks its address out",
        f"{MAIN_API}/users/endpoints/joining.py",
        "        if known is not None and not known.invited:\n",
        "        if known is not None:\n",
        "services/main-api/tests/integration/test_people.py::test_an_invitation_keeps_nobody_from_registering",
    ),
    Mutant(
        "a log-in with the old password outlives the new one",
        f"{MAIN_API}/auth/endpoints.py",
        "still.disabled or still.password_hash != found.password_hash:",
        "still.disabled:",
        "services/main-api/tests/integration/test_sessions.py::test_a_log_in_that_a_new_password_overtakes_opens_nothing",
    ),
)
