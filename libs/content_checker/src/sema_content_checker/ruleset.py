"""The team's rules, compiled once for many texts. Changed rules are a new RuleSet with a new version.

Words, shorteners and the signals' phrases are one Aho-Corasick automaton over letters alone: one pass finds every
candidate, however its letters are pulled apart, and `spelling` judges each candidate where it stands.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import ahocorasick
import re2

from sema_content_checker.folding import fold, squeeze
from sema_content_checker.signals import SIGNALS, Signal
from sema_content_checker.spelling import Entry, Phrase, Shortener, Word

Kind = Literal["word", "pattern", "shortener"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of `core.content_blocklist`.

    word: a word or phrase, in any script; as a whole word, or wherever its letters occur.
    pattern: an RE2 expression, searched in the folded text (small letters, single spaces, no accents).
    shortener: a domain; its subdomains are meant too.
    """

    kind: Kind
    value: str
    language: str = "any"
    whole_word: bool = True


class BadRule(ValueError):
    """A rule that cannot be compiled or would do harm; its text says which and why, for the staff who wrote it."""


# What follows keeps a slip of the hand from refusing every text, and a pattern from stalling a process.

LEAST_LETTERS: Final = 2
"""Of a whole word."""

LEAST_LETTERS_INSIDE: Final = 4
"""Of a word that is looked for inside others: three letters are in too many of them."""

MOST_PATTERN_CHARACTERS: Final = 300
MOST_PATTERNS: Final = 200
MOST_RULES: Final = 20_000

MOST_INSTRUCTIONS: Final = 1_500
"""Of one compiled pattern. RE2's time is at most instructions times characters, however the text is made:
a few ms for the longest text (`tests/unit/test_ruleset.py`)."""

MOST_INSTRUCTIONS_TOGETHER: Final = 15_000
"""Of all compiled patterns: they are searched as one."""

# Bytes for one compiled pattern: RE2 falls back to a slower, still linear, search rather than exceed it.
_SHOWN: Final = 60  # characters of a pattern in the reason that refuses it
_PATTERN_MEMORY: Final = 16 << 20
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,3}[a-z]{2,24}").fullmatch


class RuleSet:
    """`version` belongs into every cache key of a verdict. BadRule for a rule that cannot work or does harm."""

    def __init__(self, version: str, rules: Iterable[Rule]) -> None:
        self.version: Final = version
        self.patterns: Final[dict[str, Any]] = {}
        found: dict[str, list[Entry]] = {}
        instructions = 0
        for count, rule in enumerate(rules, 1):
            if count > MOST_RULES:
                raise BadRule(f"more than {MOST_RULES:,} rules")
            match rule.kind:
                case "word":
                    word = _word(rule)
                    found.setdefault(word.key, []).append(word)
                case "pattern":
                    compiled = compile_pattern(rule.value)
                    instructions += compiled.programsize
                    self.patterns[rule.value] = compiled
                case "shortener":
                    for shortener in _shorteners(rule):
                        found.setdefault(shortener.key, []).append(shortener)
        if len(self.patterns) > MOST_PATTERNS:
            raise BadRule(f"more than {MOST_PATTERNS} patterns")
        if instructions > MOST_INSTRUCTIONS_TOGETHER:
            raise BadRule(
                f"the patterns together compile to {instructions:,} instructions, "
                f"the most is {MOST_INSTRUCTIONS_TOGETHER:,}: shorten or remove one"
            )
        for signal in SIGNALS:
            for phrase in signal.phrases:
                found.setdefault(_key(fold(phrase)), []).append(_phrase(signal, phrase))
        self.automaton: Final[Any] = ahocorasick.Automaton()
        for key, entries in found.items():
            self.automaton.add_word(key, (len(key), tuple(entries)))
        self.automaton.make_automaton()
        # All patterns as one: the clean text, nearly every one, is searched once.
        self.any_pattern: Final[Any] = _compile("|".join(f"(?:{_plain(p)})" for p in self.patterns))


def normal_form(rule: Rule) -> tuple[str, str]:
    """Rules of one normal form are one rule in other dress; BadRule for one that cannot work alone."""
    match rule.kind:
        case "word":
            _word(rule)
            return rule.kind, fold(rule.value)
        case "pattern":
            compile_pattern(rule.value)
            return rule.kind, _plain(rule.value)
        case "shortener":
            return rule.kind, _shorteners(rule)[0].domain


def _key(folded: str) -> str:
    return squeeze(folded, signs=False)


def _gaps(folded: str) -> frozenset[int]:
    """Before which letters of its key a phrase has a space or sign of its own."""
    gaps, letters, apart = set(), 0, False
    for character in folded:
        if character.isalnum():
            if apart and letters:
                gaps.add(letters)
            letters, apart = letters + 1, False
        else:
            apart = True
    return frozenset(gaps)


def _letters(folded: str) -> str:
    return "".join(filter(str.isalnum, folded))


def _word(rule: Rule) -> Word:
    folded = fold(rule.value)
    letters = _letters(folded)
    if not letters:
        raise BadRule(f"the word {rule.value!r} has no letter or digit")
    least = LEAST_LETTERS if rule.whole_word else LEAST_LETTERS_INSIDE
    # One sign of Ethiopic or Chinese is a syllable or a word.
    if len(letters) < least and letters.isascii():
        where = "" if rule.whole_word else " to be looked for inside other words"
        raise BadRule(f"the word {rule.value!r} is too short{where}: at least {least} letters")
    return Word(_key(folded), letters, _gaps(folded), rule.value, rule.whole_word)


def _phrase(signal: Signal, phrase: str) -> Phrase:
    folded = fold(phrase)
    return Phrase(_key(folded), _letters(folded), _gaps(folded), signal)


def _shorteners(rule: Rule) -> list[Shortener]:
    """The domain as it is, and with its dots spelled: bit dot ly."""
    domain = fold(rule.value).removeprefix("www.")
    if _DOMAIN(domain) is None:
        raise BadRule(f"{rule.value!r} is no domain: write it as bit.ly, without https:// and without a path")
    labels = domain.split(".")
    spelled = " dot ".join(labels)
    return [
        Shortener(
            _key(domain), _letters(domain), _gaps(domain), domain, _gaps(domain.replace("-", "")), False
        ),
        Shortener(_key(spelled), _letters(spelled), _gaps(spelled), domain, frozenset(), True),
    ]


def compile_pattern(pattern: str) -> Any:
    """A pattern of staff; BadRule unless it is an RE2 expression of a size and reach that do no harm."""
    shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}…"
    if len(pattern) > MOST_PATTERN_CHARACTERS:
        raise BadRule(f"the pattern {shown!r} is longer than {MOST_PATTERN_CHARACTERS} characters")
    compiled = _compile(_plain(pattern), shown)
    if compiled.programsize > MOST_INSTRUCTIONS:
        raise BadRule(
            f"the pattern {shown!r} compiles to {compiled.programsize:,} instructions, the most is "
            f"{MOST_INSTRUCTIONS:,}: shorten its repetitions such as {{0,100}}"
        )
    if compiled.search(b"") or compiled.search(b"x"):
        raise BadRule(
            f"the pattern {shown!r} matches the empty text or any letter: it would refuse every text"
        )
    return compiled


def _plain(pattern: str) -> str:
    """Accents and look-alikes as the folded text has them; what is ASCII (all of RE2's syntax) stays."""
    return "".join(character if character.isascii() else fold(character) for character in pattern)


def _compile(pattern: str, shown: str = "") -> Any:
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.never_capture = True
    options.case_sensitive = False
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise BadRule(f"the pattern {shown!r} is no RE2 expression: {error}") from None
