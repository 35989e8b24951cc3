"""The verdict on one text. Each check is one function, and every reason is one that a sender can act upon."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, Literal

from sema_content_checker import links
from sema_content_checker.folding import fold, has_signs, squeeze
from sema_content_checker.ruleset import RuleSet
from sema_content_checker.signals import DISGUISED_LINK, LINK, SPAM_SCORE, Signal
from sema_content_checker.spelling import Entry, Phrase, Reading, Shortener, Word

Check = Literal["blocklist", "disallowed_characters", "spam", "url_shortener"]

MAX_REASONS: Final = 10


@dataclass(frozen=True, slots=True)
class Reason:
    """Which check refuses the text, and what about it, in words."""

    check: Check
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Allowed, or not for at least one reason; at most MAX_REASONS, none twice.

    `signals` are all signs of phishing with their weights, also those of an allowed text: SPAM_SCORE refuses.
    """

    allowed: bool
    reasons: tuple[Reason, ...] = ()
    signals: tuple[tuple[str, int], ...] = ()

    @property
    def score(self) -> int:
        """The weight of all signs together."""
        return sum(weight for _, weight in self.signals)


_ALLOWED: Final = Verdict(True)


def check(text: str, ruleset: RuleSet) -> Verdict:
    """Judges a text as it would be submitted. Time grows linearly with its length."""
    folded = fold(text)
    reasons = [Reason("disallowed_characters", detail) for detail in _disallowed(text)]
    signals: dict[str, Signal] = {}
    for entry in _found(links.revealed(folded), ruleset):
        if isinstance(entry, Word):
            reasons.append(Reason("blocklist", f"contains the blocked word {entry.value!r}"))
        elif isinstance(entry, Shortener):
            reasons.append(Reason("url_shortener", f"links through {entry.domain}"))
        elif isinstance(entry, Phrase):
            signals[entry.signal.name] = entry.signal
    reasons += _matches(folded, ruleset)
    for authority in links.authorities(folded):
        signals[LINK.name] = LINK
        if links.is_disguised(authority):
            signals[DISGUISED_LINK.name] = DISGUISED_LINK
    score = sum(signal.weight for signal in signals.values())
    if score >= SPAM_SCORE:
        reasons.append(_spam(score, signals.values()))
    if not reasons and not signals:
        return _ALLOWED
    weights = tuple((signal.name, signal.weight) for signal in signals.values())
    return Verdict(not reasons, tuple(dict.fromkeys(reasons))[:MAX_REASONS], weights)


REMEMBERED_TEXTS: Final = 2_000
"""Some 2 MB of texts; one-time codes never repeat, campaigns sent text by text through the API do."""


class Judge:
    """`check` with a memory: the same text is judged once. A new rule set is a new Judge, so no verdict outlives
    the rules that it came from."""

    def __init__(self, ruleset: RuleSet, remembered: int = REMEMBERED_TEXTS) -> None:
        self.ruleset: Final = ruleset
        self._check: Final = lru_cache(remembered)(partial(check, ruleset=ruleset))

    def __call__(self, text: str) -> Verdict:
        """The verdict on a text, as `check` has it."""
        return self._check(text)


_field: Final = re.compile(r"\{\{[^{}]*\}\}")


def check_template(text: str, ruleset: RuleSet) -> Verdict:
    """Judges a campaign's text, whose merge fields (`{{name}}`) are not yet filled in: as if each were empty.

    What they bring is unknown, so each rendered text is checked again; a field's own name is no part of the text.
    """
    return check(_field.sub("", text), ruleset)


# ---- characters

# Tab, line feed, form feed and carriage return are the controls that a text may hold.
_control: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]").search
_OVERRIDES: Final = "\u202d\u202e"  # text that reads otherwise than it is stored
# Python's Unicode is older than the newest phones': an unassigned code among the pictographs is an emoji.
_PICTOGRAPHS: Final = range(0x1F000, 0x1FC00)
_fine: Final[set[str]] = (
    set()
)  # characters looked at before, and good; none of them depends on its neighbours
_REMEMBERED: Final = 20_000  # an attacker's whole Unicode must not stay in memory
_NAMES: Final = {"Cc": "a control character", "Cs": "half a surrogate pair", "Co": "a private-use character"}


def _disallowed(text: str) -> Iterator[str]:
    if (text.isascii() and not _control(text)) or _fine.issuperset(text):
        return
    for character in dict.fromkeys(text):
        category = unicodedata.category(character)
        if category == "Cn" and ord(character) not in _PICTOGRAPHS:
            name = "not assigned in Unicode"
        elif character in _OVERRIDES:
            name = "a direction override"
        elif category in _NAMES and character not in "\t\n\f\r":
            name = _NAMES[category]
        else:
            if len(_fine) < _REMEMBERED:
                _fine.add(character)
            continue
        yield f"U+{ord(character):04X} is {name}"


# ---- words, links, spam


def _found(folded: str, ruleset: RuleSet) -> Iterator[Entry]:
    """What of the automaton stands in the text: blocked words, shorteners, phrases of signals."""
    for signs in (False, True) if has_signs(folded) else (False,):
        reading = None
        for last, (length, entries) in ruleset.automaton.iter(squeeze(folded, signs=signs)):
            reading = reading or Reading(folded, signs=signs)
            for entry in entries:
                if reading.spells(entry, last + 1 - length, last + 1):
                    yield entry


def _matches(folded: str, ruleset: RuleSet) -> Iterator[Reason]:
    if not ruleset.patterns:
        return
    encoded = folded.encode(errors="replace")
    if ruleset.any_pattern.search(encoded):
        for pattern, compiled in ruleset.patterns.items():
            if compiled.search(encoded):
                yield Reason("spam", f"matches the pattern {pattern!r}")


def _spam(score: int, signals: Iterable[Signal]) -> Reason:
    named = ", ".join(f"{s.name} ({s.weight})" for s in sorted(signals, key=lambda s: (-s.weight, s.name)))
    return Reason("spam", f"looks like phishing, {score} points of {SPAM_SCORE}: {named}")
