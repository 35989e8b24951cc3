"""The verdict on one text. Each check is one function, and every reason is one that a sender can act upon."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from sema_content_checker import links
from sema_content_checker.folding import fold, unleet
from sema_content_checker.ruleset import RuleSet, Word
from sema_content_checker.signals import DENIALS, DISGUISED_LINK, LINK, SPAM_SCORE, Signal

Check = Literal["blocklist", "disallowed_characters", "spam", "url_shortener"]

MAX_REASONS: Final = 10


@dataclass(frozen=True, slots=True)
class Reason:
    """Which check refuses the text, and what about it, in words."""

    check: Check
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Allowed, or not for at least one reason; at most MAX_REASONS, none twice."""

    allowed: bool
    reasons: tuple[Reason, ...] = ()


_ALLOWED: Final = Verdict(True)


def check(text: str, ruleset: RuleSet) -> Verdict:
    """Judges a text as it would be submitted. Time grows linearly with its length."""
    folded = fold(text)
    words, signals = _scan(folded, ruleset)
    words |= dict.fromkeys(_taken_apart(folded, ruleset))
    reasons = [
        *(Reason("disallowed_characters", detail) for detail in _disallowed(text)),
        *(Reason("blocklist", f"contains the blocked word {word!r}") for word in words),
        *(Reason("url_shortener", f"links through {domain}") for domain in _shorteners(folded, ruleset)),
        *(Reason("spam", detail) for detail in _spam(folded, ruleset, signals)),
    ]
    return Verdict(False, tuple(dict.fromkeys(reasons))[:MAX_REASONS]) if reasons else _ALLOWED


# ---- characters

# Tab, line feed, form feed and carriage return are the controls that a text may hold.
_control: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]").search
_OVERRIDES: Final = "\u202d\u202e"  # text that reads otherwise than it is stored
# Python's Unicode is older than the newest phones': an unassigned code among the pictographs is an emoji.
_PICTOGRAPHS: Final = range(0x1F000, 0x1FC00)
_NAMES: Final = {"Cc": "a control character", "Cs": "half a surrogate pair", "Co": "a private-use character"}


def _disallowed(text: str) -> Iterator[str]:
    if text.isascii() and not _control(text):
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
            continue
        yield f"U+{ord(character):04X} is {name}"


# ---- words


def _scan(folded: str, ruleset: RuleSet) -> tuple[dict[str, None], set[Signal]]:
    """Blocked words (as their rules have them) and spam signals, in one pass of the automaton."""
    words: dict[str, None] = {}
    signals: set[Signal] = set()
    for last, (length, meanings) in ruleset.automaton.iter(unleet(folded)):
        start, end = last - length + 1, last + 1
        whole = not (folded[start - 1 : start].isalnum() or folded[end : end + 1].isalnum())
        for meaning in meanings:
            if isinstance(meaning, Signal):
                if whole and not (meaning.deniable and _is_denied(folded, start)):
                    signals.add(meaning)
            elif (whole or not meaning.whole) and _reads_as(folded[start:end], meaning):
                words[meaning.value] = None
    return words, signals


def _reads_as(typed: str, word: Word) -> bool:
    """Whether digits and signs stand for letters here: at least half are letters, or a price would curse."""
    if typed == word.folded or typed.isalpha():
        return True
    return 2 * sum(map(str.isalpha, typed)) >= sum(not character.isspace() for character in typed)


def _is_denied(folded: str, start: int) -> bool:
    before = folded[max(0, start - 24) : start]
    return any(denial in before for denial in DENIALS)


# Single characters in a row, one to three signs or spaces between them: f r e e, f.r.e.e, f - r - e - e.
_single_letters: Final = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,3}[^\W_](?![^\W_])){2,}+").findall
# Letters with signs between them and no space: fr.ee, f*r*ee. (Both patterns start only where a word does: a
# search that could start inside one would be quadratic.)
_punctuated: Final = re.compile(r"(?<![^\W_])[^\W_]++(?:[^\w\s]++[^\W_]++)+").findall
_SHORTEST_INSIDE: Final = 4  # letters; shorter words count only when they are all that was taken apart


def _taken_apart(folded: str, ruleset: RuleSet) -> Iterator[str]:
    """Blocked words whose letters have been pulled apart."""
    if not ruleset.squeezed:
        return
    for run in _single_letters(folded):
        letters = unleet("".join(filter(str.isalnum, run)))
        for _, word in ruleset.squeezed.iter(letters):
            length = len(word.letters)
            if length == len(letters) or length >= _SHORTEST_INSIDE:
                yield word.value
    for token in _punctuated(folded):
        typed = "".join(filter(str.isalnum, token))
        found = ruleset.squeezed.get(unleet(typed), None)
        if found is not None and _reads_as(typed, found):
            yield found.value


# ---- links and spam


def _shorteners(folded: str, ruleset: RuleSet) -> Iterator[str]:
    for host in links.hosts(folded):
        domain = links.shortener_of(host, ruleset.shorteners)
        if domain is not None:
            yield domain


def _spam(folded: str, ruleset: RuleSet, signals: set[Signal]) -> Iterator[str]:
    encoded = folded.encode(errors="replace")
    if ruleset.patterns and ruleset.any_pattern.search(encoded):
        for pattern, compiled in ruleset.patterns.items():
            if compiled.search(encoded):
                yield f"matches the pattern {pattern!r}"
    for authority in links.authorities(folded):
        signals.add(LINK)
        if links.is_disguised(authority):
            signals.add(DISGUISED_LINK)
    score = sum(signal.weight for signal in signals)
    if score >= SPAM_SCORE:
        named = ", ".join(
            f"{signal.name} ({signal.weight})" for signal in sorted(signals, key=lambda s: -s.weight)
        )
        yield f"looks like phishing, {score} points of {SPAM_SCORE}: {named}"
