"""Content rules as staff write and read them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sema_common.values.segments import MAX_SEGMENTS
from sema_main_api.http.bodies import Body
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment

MOST_CHANGES = 1_000
LONGEST_TEXT = MAX_SEGMENTS * 153

Kind = Annotated[
    Literal["word", "pattern", "shortener"],
    Field(description="A word or phrase; an RE2 expression; a domain that shortens links."),
]
Value = Annotated[str, Field(min_length=1, max_length=500)]
Language = Annotated[
    str,
    Field(pattern="^([a-z]{2,3}|any)$", description="Whose word it is (ISO 639), for the list; or `any`."),
]
WholeWord = Annotated[
    bool,
    Field(description="Words only: as a word of its own, or wherever its letters occur (at least four)."),
]
Note = Annotated[str, Field(min_length=1, max_length=500, description="Why, for your colleagues.")]
Force = Annotated[
    bool, Field(description="Change it although much of what customers send would newly be refused.")
]


class NewRule(Body):
    kind: Kind
    value: Value
    language: Language = "any"
    whole_word: WholeWord = True
    note: Note | None = None


class CreateRule(NewRule):
    force: Force = False


class PatchRule(Body):
    """What is absent stays."""

    value: Value | None = None
    language: Language | None = None
    whole_word: WholeWord | None = None
    note: Note | None = None
    force: Force = False


class ChangedRule(PatchRule):
    id: int


class Changes(Body):
    """Together: all of them or, where one is wrong, none."""

    add: list[NewRule] = Field(default_factory=list, max_length=MOST_CHANGES)
    change: list[ChangedRule] = Field(default_factory=list, max_length=MOST_CHANGES)
    remove: list[int] = Field(default_factory=list, max_length=MOST_CHANGES)


class DryRun(Changes):
    messages: Annotated[
        int, Field(ge=1, le=20_000, description="How many of the latest messages to judge again.")
    ] = 5_000


class ApplyChanges(Changes):
    version: Annotated[
        int | None, Field(description="Of your dry run: 409 when the rules have changed since.")
    ] = None
    reason: Annotated[str | None, Field(min_length=1, max_length=500)] = None
    force: Force = False


class RuleAnswer(Answer):
    id: int
    kind: Kind
    value: str
    language: str
    whole_word: bool
    note: str | None
    created_at: Moment
    updated_at: Moment


class RuleQuery(PageQuery):
    kind: Kind | None = None
    language: Language | None = None
    search: Annotated[str | None, Field(min_length=1, max_length=100, description="Part of its value.")] = (
        None
    )


class RuleList(ListAnswer):
    data: list[RuleAnswer]


class Summary(Answer):
    """Which rules are in force: every process follows within seconds."""

    version: int
    changed_at: Moment
    by_kind: dict[str, int]
    by_language: dict[str, int]


class ReasonAnswer(Answer):
    check: str
    detail: str


class Sample(Answer):
    """A text, its digits, addresses and paths masked."""

    account_id: UUID
    source: Literal["message", "campaign", "refusal"]
    text: str
    reasons: list[ReasonAnswer]


class Difference(Answer):
    """How much changes sides: different texts, of how many accounts, and some of them."""

    texts: int
    accounts: int
    samples: list[Sample]


class DryRunAnswer(Answer):
    """What the changes would do to the latest texts; nothing was changed."""

    version: int
    messages: int
    texts_accepted: int
    texts_refused: int
    newly_refused: Difference
    newly_allowed: Difference


class Applied(Answer):
    """What was changed, and the version that it made."""

    version: int
    added: list[RuleAnswer]
    changed: list[RuleAnswer]
    removed: list[RuleAnswer]


class ExplainText(Body):
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class SignalAnswer(Answer):
    name: str
    weight: int


class Explained(Answer):
    """The verdict by the rules as they are now; `score` of `score_refused` or more is refused as spam."""

    version: int
    allowed: bool
    reasons: list[ReasonAnswer]
    signals: list[SignalAnswer]
    score: int
    score_refused: int


class RefusalQuery(PageQuery):
    account_id: UUID | None = None


class Refusal(Answer):
    """A text that was refused, masked; the same text of the same account counts up."""

    account_id: UUID
    text: str
    reasons: list[ReasonAnswer]
    refusals: int
    first_at: Moment
    last_at: Moment


class RefusalList(ListAnswer):
    data: list[Refusal]
