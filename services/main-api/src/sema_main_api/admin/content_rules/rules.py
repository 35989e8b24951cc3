"""What a change of the rules makes of them, what it would do to texts, and how a text is shown. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sema_common.values.errors import FieldError, Refused
from sema_content_checker import BadRule, Reason, Rule, RuleSet, check, check_template, normal_form
from sema_main_api.admin.content_rules.schemas import Changes
from sema_main_api.http.problems import not_found

MOST_SAMPLES: Final = 20
LONGEST_SAMPLE: Final = 160

BROAD_SHARE: Final = 0.2
BROAD_TEXTS: Final = 200
"""A change that newly refuses this share of the latest texts, and at least so many, is a slip unless it is forced."""

Source = Literal["message", "campaign", "refusal"]


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A row of `core.content_blocklist`."""

    id: int
    kind: Literal["word", "pattern", "shortener"]
    value: str
    language: str
    whole_word: bool
    note: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def rule(self) -> Rule:
        """As the checker takes it."""
        return Rule(self.kind, self.value, self.language, self.whole_word)

    def audited(self) -> dict[str, Any]:
        """As the audit log keeps it."""
        return {
            "kind": self.kind,
            "value": self.value,
            "language": self.language,
            "whole_word": self.whole_word,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Text:
    """A text of an account, as it was sent, refused or made the template of a campaign."""

    account_id: UUID
    source: Source
    body: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes that fit the rules as they are: the rules before, those after, and what is to be written."""

    before: Sequence[Rule]
    after: Sequence[Rule]
    changed: Sequence[tuple[StoredRule, StoredRule]]
    removed: Sequence[StoredRule]


def plan(stored: Sequence[StoredRule], changes: Changes, at: datetime) -> Plan:
    """What the changes make of the rules; Refused with every wrong one named, 404 for an id that is no rule's."""
    by_id = {row.id: row for row in stored}
    touched = [*(change.id for change in changes.change), *changes.remove]
    if not changes.add and not touched:
        raise Refused("validation_failed", "There is nothing to change.")
    if len(set(touched)) != len(touched):
        raise Refused("validation_failed", "A rule is named more than once.")
    if any(id_ not in by_id for id_ in touched):
        raise not_found()
    changed = []
    for change in changes.change:
        wanted = change.model_dump(exclude={"id", "force"}, exclude_unset=True)
        if any(wanted.get(name, "") is None for name in ("value", "language", "whole_word")):
            raise Refused("validation_failed", "value, language and whole_word cannot be null.")
        changed.append((by_id[change.id], replace(by_id[change.id], **wanted, updated_at=at)))
    gone = set(touched)
    kept = [row.rule for row in stored if row.id not in gone]
    fresh = [
        *((f"change[{i}].value", new.rule) for i, (_, new) in enumerate(changed)),
        *(
            (f"add[{i}].value", Rule(new.kind, new.value, new.language, new.whole_word))
            for i, new in enumerate(changes.add)
        ),
    ]
    _refuse_bad(kept, fresh)
    return Plan(
        before=[row.rule for row in stored],
        after=[*kept, *(rule for _, rule in fresh)],
        changed=changed,
        removed=[by_id[id_] for id_ in changes.remove],
    )


def _refuse_bad(kept: Sequence[Rule], fresh: Sequence[tuple[str, Rule]]) -> None:
    errors = []
    known: dict[object, str] = {}
    for rule in kept:
        try:
            known[normal_form(rule)] = rule.value
        except BadRule:  # it was there before us, and can be removed
            continue
    for field, rule in fresh:
        try:
            form = normal_form(rule)
        except BadRule as bad:
            errors.append(FieldError(field, "invalid_rule", str(bad)))
            continue
        if form in known:
            detail = f"the same as the rule {known[form]!r}: case, accents and look-alikes make no difference"
            errors.append(FieldError(field, "rule_exists", detail))
        known.setdefault(form, rule.value)
    if errors:
        raise Refused("validation_failed", errors[0].detail, errors=errors[:100])


def compiled(version: str, rules: Iterable[Rule]) -> RuleSet:
    """The rules together; Refused where they only fit one by one."""
    try:
        return RuleSet(version, rules)
    except BadRule as bad:
        raise Refused("validation_failed", f"The rules cannot be compiled: {bad}.") from None


@dataclass(frozen=True, slots=True)
class Moved:
    """A text that changes sides: with the reasons that newly refuse it, or those that no longer do."""

    text: Text
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What changed rules would do to texts that were accepted, and to texts that were refused."""

    refused: Sequence[Moved]
    allowed: Sequence[Moved]


def compare(before: RuleSet, after: RuleSet, texts: Iterable[Text]) -> Effect:
    """Judges every text by the rules after, and by those before where that may make a difference."""
    refused, allowed = [], []
    for text in texts:
        judge = check_template if text.source == "campaign" else check
        new = judge(text.body, after)
        old = judge(text.body, before)
        if old.allowed and not new.allowed:
            refused.append(Moved(text, new.reasons))
        elif new.allowed and not old.allowed:
            allowed.append(Moved(text, old.reasons))
    return Effect(refused, allowed)


def refuse_broad(effect: Effect, accepted: int) -> None:
    """409 where the change would newly refuse much of what customers send."""
    found = len(effect.refused)
    if found >= BROAD_TEXTS and found >= BROAD_SHARE * accepted:
        raise Refused(
            "content_rule_too_broad",
            f"{found} of the latest {accepted} texts would newly be refused. Look at a dry run; with force it is done.",
            409,
        )


_address: Final = re.compile(r"[^\s@<>()]+@[^\s@<>()]+")
_path: Final = re.compile(r"(\w\.[a-z]{2,24})(?:/[^\s]+)", re.IGNORECASE)
_digit: Final = re.compile(r"\d")


def mask(text: str) -> str:
    """Fit to be shown: no number, e-mail address or path of a link, and not without end."""
    masked = _digit.sub("#", _path.sub(r"\1/…", _address.sub("…@…", text)))
    return masked if len(masked) <= LONGEST_SAMPLE else masked[: LONGEST_SAMPLE - 1] + "…"


def difference(moved: Sequence[Moved]) -> dict[str, Any]:
    """Counts and masked samples, of as many accounts as possible."""
    by_account: dict[UUID, list[Moved]] = {}
    for each in moved:
        by_account.setdefault(each.text.account_id, []).append(each)
    rounds = max(map(len, by_account.values()), default=0)
    fair = [
        some[n] for n in range(min(rounds, MOST_SAMPLES)) for some in by_account.values() if n < len(some)
    ]
    return {
        "texts": len(moved),
        "accounts": len(by_account),
        "samples": [
            {
                "account_id": each.text.account_id,
                "source": each.text.source,
                "text": mask(each.text.body),
                "reasons": [{"check": r.check, "detail": r.detail} for r in each.reasons],
            }
            for each in fair[:MOST_SAMPLES]
        ],
    }
