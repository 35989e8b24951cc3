"""/v1/admin/content-rules and /v1/admin/content-refusals."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.responses import Response

from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_content_checker import SPAM_SCORE, check
from sema_main_api.admin.content_rules import rules, schemas, store
from sema_main_api.admin.content_rules.rules import Effect, Plan, StoredRule
from sema_main_api.http.bodies import read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager, number
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, Operation
from sema_main_api.http.store import Audit, write_audit

LOOK_BACK: Final = timedelta(days=30)
"""How old the texts may be that a change is tried on."""

MESSAGES: Final = 5_000
OTHERS: Final = 5_000
"""Campaigns and refused texts that a change is tried on, of each."""

SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database


async def list_rules(deps: Deps, request: Request, staff: Staff) -> Response:
    """The rules, newest first."""
    query = read_query(request, schemas.RuleQuery)
    pager = Pager("content-rules", staff.user_id, query)
    async with deps.pipeline.transaction() as tx:
        rows = await store.read_page(
            tx, pager.after(number), query.kind, query.language, query.search, pager.fetch
        )
    return json_response(pager.page(rows, _shown, lambda row: row.id))


async def read_rule(deps: Deps, request: Request, staff: Staff) -> Response:
    """One rule."""
    async with deps.pipeline.transaction() as tx:
        row = await store.read_one(tx, request.path_number())
    if row is None:
        raise not_found()
    return json_response(_shown(row))


async def summary(deps: Deps, request: Request, staff: Staff) -> Response:
    """The version in force and how many rules it has."""
    async with deps.pipeline.transaction() as tx:
        version, changed_at = await store.read_version(tx)
        rows = await store.read_all(tx)
    answer = schemas.Summary(
        version=version,
        changed_at=changed_at,
        by_kind=dict(Counter(row.kind for row in rows)),
        by_language=dict(Counter(row.language for row in rows)),
    )
    return json_response(answer.model_dump(mode="json"))


async def create_rule(deps: Deps, request: Request, staff: Staff) -> Response:
    """A new rule."""
    wanted = await read_body(request, schemas.CreateRule)
    new = schemas.NewRule(**wanted.model_dump(exclude={"force"}))
    changes = schemas.ApplyChanges(add=[new], force=wanted.force)
    return json_response((await _apply(deps, request, staff, changes)).added[0].model_dump(mode="json"), 201)


async def change_rule(deps: Deps, request: Request, staff: Staff) -> Response:
    """What of a rule shall be otherwise."""
    wanted = await read_body(request, schemas.PatchRule)
    change = schemas.ChangedRule(id=request.path_number(), **wanted.model_dump(exclude_unset=True))
    changes = schemas.ApplyChanges(change=[change], force=wanted.force)
    return json_response((await _apply(deps, request, staff, changes)).changed[0].model_dump(mode="json"))


async def remove_rule(deps: Deps, request: Request, staff: Staff) -> Response:
    """A rule less."""
    await _apply(deps, request, staff, schemas.ApplyChanges(remove=[request.path_number()]))
    return no_content()


async def apply_changes(deps: Deps, request: Request, staff: Staff) -> Response:
    """Many changes, all or none, as one dry run showed them."""
    wanted = await read_body(request, schemas.ApplyChanges)
    return json_response((await _apply(deps, request, staff, wanted)).model_dump(mode="json"))


async def dry_run(deps: Deps, request: Request, staff: Staff) -> Response:
    """What changes would do to the latest texts."""
    wanted = await read_body(request, schemas.DryRun)
    at = now()
    async with deps.pipeline.transaction(SECONDS) as tx:
        version, _ = await store.read_version(tx)
        plan = rules.plan(await store.read_all(tx), wanted, at)
        recent = await store.read_recent(tx, at - LOOK_BACK, wanted.messages, OTHERS)
    effect = await asyncio.to_thread(_effect, plan, recent)
    answer = schemas.DryRunAnswer(
        version=version,
        messages=recent.messages,
        texts_accepted=len(recent.accepted),
        texts_refused=len(recent.refused),
        newly_refused=schemas.Difference(**rules.difference(effect.refused)),
        newly_allowed=schemas.Difference(**rules.difference(effect.allowed)),
    )
    return json_response(answer.model_dump(mode="json"))


async def explain(deps: Deps, request: Request, staff: Staff) -> Response:
    """The verdict on a text, with all that speaks against it."""
    wanted = await read_body(request, schemas.ExplainText)
    async with deps.pipeline.transaction() as tx:
        version, _ = await store.read_version(tx)
        stored = await store.read_all(tx)

    def judge() -> dict[str, Any]:
        verdict = check(wanted.text, rules.compiled(str(version), [row.rule for row in stored]))
        return {
            "version": version,
            "allowed": verdict.allowed,
            "reasons": [{"check": r.check, "detail": r.detail} for r in verdict.reasons],
            "signals": [{"name": name, "weight": weight} for name, weight in verdict.signals],
            "score": verdict.score,
            "score_refused": SPAM_SCORE,
        }

    return json_response(await asyncio.to_thread(judge))


async def list_refusals(deps: Deps, request: Request, staff: Staff) -> Response:
    """What was refused lately, to see what should not have been."""
    query = read_query(request, schemas.RefusalQuery)
    pager = Pager("content-refusals", staff.user_id, query)
    async with deps.pipeline.transaction() as tx:
        rows = await store.read_refusals(tx, pager.after(_position), query.account_id, pager.fetch)

    def show(row: store.RefusalRow) -> dict[str, Any]:
        shown = schemas.Refusal(
            account_id=row.account_id,
            text=rules.mask(row.body),
            reasons=[schemas.ReasonAnswer(**reason) for reason in row.reasons],
            refusals=row.refusals,
            first_at=row.first_at,
            last_at=row.last_at,
        )
        return shown.model_dump(mode="json")

    return json_response(pager.page(rows, show, lambda row: f"{row.last_at.isoformat()} {row.hash.hex()}"))


async def _apply(deps: Deps, request: Request, staff: Staff, wanted: schemas.ApplyChanges) -> schemas.Applied:
    """Plan, try, write and audit, one member of staff at a time; every process follows within seconds."""
    at = now()
    async with deps.pipeline.transaction(SECONDS) as tx:
        version = await store.lock_version(tx)
        if wanted.version is not None and wanted.version != version:
            detail = (
                f"The rules have changed: version {version}, not {wanted.version}. Look at a new dry run."
            )
            raise Refused("content_rules_changed", detail, 409)
        plan = rules.plan(await store.read_all(tx), wanted, at)
        recent = await store.read_recent(tx, at - LOOK_BACK, MESSAGES, OTHERS)
        effect = await asyncio.to_thread(_effect, plan, recent)
        if not wanted.force:
            rules.refuse_broad(effect, len(recent.accepted))
        added = await store.add(tx, wanted.add) if wanted.add else []
        if plan.changed:
            await store.change(tx, [after for _, after in plan.changed])
        if plan.removed:
            await store.remove(tx, [row.id for row in plan.removed])
        await _audit(tx, request, staff, plan, added, wanted.reason)
        version, _ = await store.read_version(tx)
    request.noted["content_rules_version"] = version
    return schemas.Applied.model_validate(
        {
            "version": version,
            "added": added,
            "changed": [after for _, after in plan.changed],
            "removed": plan.removed,
        }
    )


def _effect(plan: Plan, recent: store.Recent) -> Effect:
    before, after = _lenient(plan), rules.compiled("after", plan.after)
    return rules.compare(before, after, [*recent.accepted, *recent.refused])


def _lenient(plan: Plan) -> Any:
    """The rules before; where they cannot be compiled (a hand in the database), none: the change may mend them."""
    try:
        return rules.compiled("before", plan.before)
    except Refused:
        return rules.compiled("before", [])


async def _audit(
    tx: Tx, request: Request, staff: Staff, plan: Plan, added: list[StoredRule], reason: str | None
) -> None:
    lines: list[tuple[str, StoredRule, dict[str, Any] | None, dict[str, Any] | None]] = [
        *(("content_rule.added", row, None, row.audited()) for row in added),
        *(("content_rule.changed", old, old.audited(), new.audited()) for old, new in plan.changed),
        *(("content_rule.removed", row, row.audited(), None) for row in plan.removed),
    ]
    for action, row, before, after in lines:
        subject = ("content_rule", row.id)
        audit = Audit.by_staff(
            staff, request.request_id, action, subject, before=before, after=after, reason=reason
        )
        await write_audit(tx, audit)


def _shown(row: StoredRule) -> dict[str, Any]:
    return schemas.RuleAnswer.model_validate(row).model_dump(mode="json")


def _position(text: str) -> tuple[datetime, bytes]:
    at, _, hash_ = text.partition(" ")
    return datetime.fromisoformat(at), bytes.fromhex(hash_)


_TAG: Final = "Staff: content rules"
_PROBLEMS: Final = {409: "content_rule_too_broad, content_rules_changed", 422: "validation_failed"}

OPERATIONS = (
    Operation(
        *("GET", "/v1/admin/content-rules", list_rules, "List content rules", _TAG),
        staff=STAFF,
        query=schemas.RuleQuery,
        answers={200: schemas.RuleList},
    ),
    Operation(
        *("POST", "/v1/admin/content-rules", create_rule, "Add a content rule", _TAG),
        staff=STAFF_ADMINS,
        body=schemas.CreateRule,
        answers={201: schemas.RuleAnswer},
        problems=_PROBLEMS,
        description="In force in every process within seconds. A rule that is there already is refused (422).",
    ),
    Operation(
        *("GET", "/v1/admin/content-rules/summary", summary, "Which content rules are in force", _TAG),
        staff=STAFF,
        answers={200: schemas.Summary},
    ),
    Operation(
        *("POST", "/v1/admin/content-rules/dry-run", dry_run, "Try changes on the latest texts", _TAG),
        staff=STAFF,
        body=schemas.DryRun,
        answers={200: schemas.DryRunAnswer},
        problems={404: "`not_found`: a rule to change or remove"},
        description="Judges the latest messages, campaigns and refused texts by the rules as they would be. Changes "
        "nothing; samples are masked.",
    ),
    Operation(
        *(
            "POST",
            "/v1/admin/content-rules/changes",
            apply_changes,
            "Change many content rules at once",
            _TAG,
        ),
        staff=STAFF_ADMINS,
        body=schemas.ApplyChanges,
        answers={200: schemas.Applied},
        problems={**_PROBLEMS, 404: "`not_found`: a rule to change or remove"},
    ),
    Operation(
        *("POST", "/v1/admin/content-rules/explain", explain, "Explain the verdict on a text", _TAG),
        staff=STAFF,
        body=schemas.ExplainText,
        answers={200: schemas.Explained},
    ),
    Operation(
        *("GET", "/v1/admin/content-rules/{id}", read_rule, "Read a content rule", _TAG),
        staff=STAFF,
        answers={200: schemas.RuleAnswer},
    ),
    Operation(
        *("PATCH", "/v1/admin/content-rules/{id}", change_rule, "Change a content rule", _TAG),
        staff=STAFF_ADMINS,
        body=schemas.PatchRule,
        answers={200: schemas.RuleAnswer},
        problems=_PROBLEMS,
    ),
    Operation(
        *("DELETE", "/v1/admin/content-rules/{id}", remove_rule, "Remove a content rule", _TAG),
        staff=STAFF_ADMINS,
        answers={204: None},
    ),
    Operation(
        *("GET", "/v1/admin/content-refusals", list_refusals, "List texts that were refused", _TAG),
        staff=STAFF,
        query=schemas.RefusalQuery,
        answers={200: schemas.RefusalList},
        description="Of the last 30 days, masked, the latest first: what was refused, why, and how often.",
    ),
)
