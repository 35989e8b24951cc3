"""Our own people: invited by mail, demoted, shut out; somebody is always left who may."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx

from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox

PATH = "/v1/admin/staff"
PASSWORD = "correct horse battery"
Headers = dict[str, str]
Staff = Callable[..., Awaitable[Headers]]


async def test_an_invited_member_of_staff_joins_by_the_mail_and_is_shut_out_at_once(
    client: httpx.AsyncClient, staff: Staff, pipeline: Database, box: SecretBox
) -> None:
    admin = await staff()
    body = {"email": "Zuri@example.com", "role": "staff_support", "name": "Zuri"}
    invited = await client.post(PATH, headers=admin, json=body)
    assert (invited.status_code, invited.json()["status"]) == (201, "invited")
    content = await pipeline.fetchval("SELECT content FROM core.mails WHERE recipient = 'zuri@example.com'")
    token = box.open(content).split("#token=")[1].split("\\n")[0]
    accept = {"token": token, "password": PASSWORD}
    assert (await client.post("/v1/auth/invitations/accept", json=accept)).status_code == 204
    login = await client.post("/v1/auth/login", json={"email": "zuri@example.com", "password": PASSWORD})
    zuri = {"authorization": f"Bearer {login.json()['access_token']}"}
    assert (await client.get("/v1/admin/accounts", headers=zuri)).status_code == 200
    assert (await client.get(PATH, headers=zuri)).status_code == 403

    path = f"{PATH}/{invited.json()['id']}"
    gone = await client.patch(path, headers=admin, json={"disabled": True, "reason": "left us"})
    assert (gone.status_code, gone.json()["status"]) == (200, "disabled")
    assert (await client.get("/v1/admin/accounts", headers=zuri)).status_code == 401
    lines = await pipeline.fetch(
        "SELECT action, before, after, reason FROM core.audit_log WHERE subject_id = $1 ORDER BY id",
        invited.json()["id"],
    )
    assert [line["action"] for line in lines] == ["staff.invited", "user.joined", "staff.changed"]
    assert (lines[2]["before"]["status"], lines[2]["after"]["status"]) == ("active", "disabled")
    assert lines[2]["reason"] == "left us"


async def test_the_last_admin_stays(client: httpx.AsyncClient, staff: Staff) -> None:
    """ASVS 8.2.1."""
    admin = await staff()
    (me,) = (await client.get(PATH, headers=admin)).json()["data"]
    for change in ({"role": "staff_support"}, {"disabled": True}):
        refused = await client.patch(f"{PATH}/{me['id']}", headers=admin, json=change | {"reason": "x"})
        assert (refused.status_code, refused.json()["code"]) == (409, "last_admin")
    await staff()  # another one
    demoted = await client.patch(
        f"{PATH}/{me['id']}", headers=admin, json={"role": "staff_support", "reason": "x"}
    )
    assert demoted.json()["role"] == "staff_support"
    assert (await client.get(PATH, headers=admin)).status_code == 403


async def test_a_customers_user_is_no_member_of_staff(
    client: httpx.AsyncClient, staff: Staff, owner: Database
) -> None:
    admin = await staff()
    account, user = uuid4(), uuid4()
    await owner.execute(
        "INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency,"
        " webhook_secret) VALUES ($1, $1, $1, 'C', 'direct', 'starter', 'KES', '')",
        account,
    )
    await owner.execute(
        "INSERT INTO core.users (id, tenant_id, account_id, email, password_hash, role)"
        " VALUES ($1, $2, $2, 'c@example.com', 'x', 'owner')",
        *(user, account),
    )
    body = {"role": "staff_admin", "reason": "x"}
    assert (await client.patch(f"{PATH}/{user}", headers=admin, json=body)).status_code == 404
    taken = await client.post(PATH, headers=admin, json={"email": "c@example.com", "role": "staff_admin"})
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")
