"""Payments as they come: by hand, forged, unknown, beside each other; and what staff see of them."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sema_common.billing.payments import reconciling
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_main_api.payments.rules.daraja import NAIROBI
from tests.kit.accounting import insert_invoice
from tests.kit.client import eventually
from tests.kit.payments import TOKEN, Desk, Json, phone

StaffLogIn = Callable[..., Awaitable[dict[str, str]]]


def success(push: Json, amount: float, receipt: str = "FORGED1234") -> Json:
    items = [{"Name": "Amount", "Value": amount}, {"Name": "MpesaReceiptNumber", "Value": receipt}]
    told = {
        "CheckoutRequestID": push["checkout_request_id"],
        "ResultCode": 0,
        "CallbackMetadata": {"Item": items},
    }
    return {"Body": {"stkCallback": told}}


async def tell(desk: Desk, push: Json, body: Any) -> None:
    answer = await desk.api.post(push["callback_url"], json=body)
    assert answer.json() == {"ResultCode": 0, "ResultDesc": "Accepted"}


async def noticed(desk: Desk, finding: str) -> None:
    async def look() -> None:
        sql = "SELECT count(*) FROM billing.payment_notices WHERE finding = $1"
        assert await desk.owner.fetchval(sql, finding)

    await eventually(look)


async def test_a_forged_success_is_worth_nothing(desk: Desk) -> None:
    asked = await desk.top_up(to=phone(4999))

    async def pushed() -> None:
        sql = "SELECT 1 FROM billing.top_ups WHERE checkout_request_id IS NOT NULL"
        assert await desk.owner.fetchval(sql)

    await eventually(pushed)
    [push] = desk.pushes()
    await tell(desk, push, success(push, 100.0))
    await tell(desk, push, success(push | {"checkout_request_id": "ws_CO_other"}, 100.0))
    garbage: list[Any] = [[], "?", {"Body": {"stkCallback": {"ResultCode": "0"}}}]
    for nonsense in garbage:
        await tell(desk, push, nonsense)
    await eventually(lambda: asked_about(desk))
    assert (await desk.read(asked))["status"] == "pending"
    assert await desk.credits() == []
    findings = await desk.owner.fetch("SELECT finding FROM billing.payment_notices ORDER BY received_at")
    assert [row["finding"] for row in findings] == ["taken", "other_request", *["unreadable"] * 3]
    stranger = await desk.api.post(
        f"/v1/callbacks/payments/{secrets.token_hex(32)}", json=success(push, 100.0)
    )
    assert stranger.status_code == 404


async def asked_about(desk: Desk) -> None:
    assert await desk.owner.fetchval("SELECT max(queries) FROM billing.top_ups") >= 2


async def test_a_forged_receipt_takes_no_payments_place(desk: Desk) -> None:
    """The push was paid, and somebody tells of it under a receipt that there is not."""
    desk.script(callback={"enabled": False}, c2b={"enabled": False}, list={"mode": "http_500"})
    asked = await desk.top_up()
    await desk.becomes(asked, "succeeded")
    [push], [payment] = desk.pushes(), desk.payments()
    await tell(desk, push, success(push, 100.0))
    assert (await desk.read(asked))["receipt"] == "FORGED1234"
    desk.script(list={"mode": "ok"})
    await desk.list_is_read()
    assert (await desk.read(asked))["receipt"] == payment["receipt"]
    await desk.credited(100)


async def test_a_callback_of_another_amount_holds_the_top_up_until_the_list_decides(desk: Desk) -> None:
    desk.script(
        callback={"wrong_amount": True}, c2b={"enabled": False}, query="processing", list={"mode": "http_500"}
    )
    asked = await desk.top_up()
    await noticed(desk, "amount_differs")
    desk.script(query="ok")
    await eventually(lambda: asked_about(desk))
    assert (await desk.read(asked))["status"] == "pending"
    desk.script(list={"mode": "ok"})
    await desk.becomes(asked, "succeeded")
    await desk.credited(100)


async def test_every_payment_by_hand_counts_by_itself(desk: Desk) -> None:
    """The reference of a top-up names its account for ever: paid again, of another amount, and typed badly."""
    asked = await desk.top_up()
    done = await desk.becomes(asked, "succeeded")
    reference = done["pay_bill"]["account_number"]
    for typed, amount in ((reference, "100"), (f" {reference[:5].lower()}-{reference[5:]}", "70.00")):
        assert (await desk.pay(typed, amount))["accepted"]
    desk.script(c2b={"enabled": False})
    await desk.pay(reference, "30")
    await desk.credited(100, 100, 70, 30)
    await desk.list_is_read()
    await desk.credited(100, 100, 70, 30)


async def test_an_invoices_number_names_its_account_at_the_pay_bill_menu(desk: Desk) -> None:
    await insert_invoice(desk.owner, desk.account.account_id)
    number = "T-2026-000001"
    for typed, amount in ((number, "92"), (number.lower().replace("-", " "), "20"), ("T2026000001", "3")):
        assert (await desk.pay(typed, amount))["accepted"], typed
    for typed in ("T-2026-000002", "T-2027-000001", "S-2026-000001"):
        assert (await desk.pay(typed))["result_code"] == "C2B00012", typed
    await desk.credited(92, 20, 3)
    await desk.list_is_read()
    await desk.credited(92, 20, 3)


async def test_validation_turns_wrong_account_numbers_away(desk: Desk) -> None:
    assert await desk.pay("NOBODY") == {"accepted": False, "result_code": "C2B00012"}
    reference = (await desk.top_up())["pay_bill"]["account_number"]
    path = f"/v1/callbacks/payments/{TOKEN}/validation"
    asked = {"TransID": "", "TransAmount": "10.00", "BillRefNumber": reference, "BusinessShortCode": "600986"}

    async def verdict(**changes: str) -> Any:
        return (await desk.api.post(path, json=asked | changes)).json()["ResultCode"]

    assert await verdict() == "0"
    assert await verdict(BusinessShortCode="174379") == "C2B00015"
    assert await verdict(TransAmount="x") == "C2B00013"
    assert (await desk.api.post("/v1/callbacks/payments/nobody/validation", json=asked)).status_code == 404


async def test_a_payment_that_names_nobody_waits_for_staff(desk: Desk, staff: StaffLogIn) -> None:
    desk.script(c2b={"validation": False})
    first, second = await desk.pay("SHOP 12", "500"), await desk.pay("", "40")
    admin, support = await staff(), await staff("staff_support")

    async def listed() -> list[Json]:
        page = (await desk.api.get("/v1/admin/payments", headers=support)).json()["data"]
        assert len(page) == 2
        found: list[Json] = page
        return found

    [newest, oldest] = await eventually(listed)
    assert {newest["receipt"], oldest["receipt"]} == {first["receipt"], second["receipt"]}
    path = f"/v1/admin/payments/{first['receipt']}"
    body = {"account_id": str(desk.account.account_id), "reason": "He called, receipt in hand"}
    assert (await desk.api.post(f"{path}/assign", json=body, headers=support)).status_code == 403
    nobody = await desk.api.post(
        f"{path}/assign", json=body | {"account_id": "01990000-0000-7000-8000-000000000000"}, headers=admin
    )
    assert (nobody.status_code, nobody.json()["errors"][0]["field"]) == (422, "account_id")
    assigned = await desk.api.post(f"{path}/assign", json=body, headers=admin)
    assert (assigned.status_code, assigned.json()["state"]) == (200, "credited")
    again = await desk.api.post(f"{path}/assign", json=body, headers=admin)
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    await desk.credited(500)
    returned = await desk.api.post(
        f"/v1/admin/payments/{second['receipt']}/return",
        json={"reason": "reversed in the portal"},
        headers=admin,
    )
    assert returned.json()["state"] == "returned"
    audit = (
        "SELECT action, reason, before->>'state' AS was FROM core.audit_log"
        " WHERE subject_type = 'payment' ORDER BY id"
    )
    assert [tuple(row.values()) for row in await desk.owner.fetch(audit)] == [
        ("payment.assigned", "He called, receipt in hand", "unassigned"),
        ("payment.returned", "reversed in the portal", "unassigned"),
    ]
    assert (await desk.api.get("/v1/admin/payments", headers=desk.auth)).status_code == 404


async def test_a_day_is_reconciled_with_the_list(desk: Desk, staff: StaffLogIn) -> None:
    await desk.becomes(await desk.top_up(), "succeeded")
    desk.script(list={"mode": "http_500"}, c2b={"enabled": False}, callback={"enabled": False})
    unlisted = await desk.becomes(await desk.top_up("60"), "succeeded")
    confirmation = {
        "TransID": "FORGED1234", "TransAmount": "10", "BillRefNumber": "X", "BusinessShortCode": "600986"
    }  # fmt: skip
    answer = await desk.api.post(f"/v1/callbacks/payments/{TOKEN}", json=confirmation)
    assert answer.json() == {"ResultCode": 0, "ResultDesc": "Success"}
    moment = now()
    start, end = moment - timedelta(hours=1), moment + timedelta(hours=1)
    async with desk.owner.transaction() as tx:
        found = await reconciling.mismatches(tx, start, end, end)
        totals = await reconciling.totals(tx, start, end)
    assert {(each["kind"], each["receipt"]) for each in found} == {
        ("credited_not_listed", None),
        ("confirmed_not_listed", "FORGED1234"),
    }
    assert {each["top_up_id"] for each in found if each["amount"]} == {UUID(unlisted["id"])}
    assert totals == {"credited": {"payments": 1, "amount": "100.0000"}}
    await desk.owner.execute("UPDATE billing.payment_tasks SET due_at = now() WHERE name = 'reconcile'")
    headers = await staff("staff_support")
    today = str(moment.astimezone(NAIROBI).date())

    async def reported() -> Json:
        answer = await desk.api.get(f"/v1/admin/payments/reconciliation?day={today}", headers=headers)
        assert answer.status_code == 200
        report: Json = answer.json()
        assert report["totals"]
        return report

    report = await eventually(reported)
    assert report["totals"] == {
        "credited": {"payments": 1, "amount": {"amount": "100.0000", "currency": "KES"}}
    }
    assert report["complete"] is False
    absent = await desk.api.get("/v1/admin/payments/reconciliation?day=2020-01-01", headers=headers)
    assert absent.status_code == 404


async def test_what_is_not_in_the_ledger_or_has_another_amount_is_a_mismatch(
    desk: Desk, owner: Database
) -> None:
    await desk.becomes(await desk.top_up(), "succeeded")
    await desk.list_is_read()
    moment = now()
    span = moment - timedelta(hours=1), moment + timedelta(hours=1)
    async with owner.transaction() as tx:
        assert await reconciling.mismatches(tx, *span, span[1]) == []
        await tx.execute("UPDATE billing.mpesa_payments SET amount = 70")
        [found] = await reconciling.mismatches(tx, *span, span[1])
        assert (found["kind"], Decimal(found["amount"])) == ("not_in_ledger", Decimal(70))
        await tx.execute("UPDATE billing.mpesa_payments SET state = 'mismatched'")
        assert [each["kind"] for each in await reconciling.mismatches(tx, *span, span[1])] == [
            "amount_differs"
        ]
        await tx.execute("UPDATE billing.mpesa_payments SET state = 'listed'")
        assert [each["kind"] for each in await reconciling.mismatches(tx, *span, span[1])] == ["not_settled"]
