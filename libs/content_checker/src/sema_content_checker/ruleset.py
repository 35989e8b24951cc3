"""The team's rules, compiled once for many texts. Changed rules are a new RuleSet with a new version."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import ahocorasick
import re2

from sema_content_checker.folding import fold, unleet
from sema_content_checker.signals import SIGNALS, Signal

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
    """A rule that cannot be compiled; its text says which and why, for the staff who wrote it."""


class Word(NamedTuple):
    """A blocked word: as its rule has it, folded, and its letters alone (digits read as letters)."""

    value: str
    folded: str
    letters: str
    whole: bool


# Bytes for one compiled pattern: RE2 falls back to a slower, still linear, search rather than exceed it.
_PATTERN_MEMORY: Final = 16 << 20


class RuleSet:
    """`version` belongs into every cache key of a verdict. BadRule when a rule is empty or no pattern."""

    def __init__(self, version: str, rules: Iterable[Rule]) -> None:
        self.version: Final = version
        self.shorteners: Final[set[str]] = set()
        self.patterns: Final[dict[str, Any]] = {}
        # What squeezed letters ("f r e e", "f.r.e.e") may spell: words by their letters alone.
        self.squeezed: Final[Any] = ahocorasick.Automaton()
        found: dict[str, list[Word | Signal]] = {}
        for rule in rules:
            match rule.kind:
                case "word":
                    folded = fold(rule.value)
                    letters = unleet("".join(filter(str.isalnum, folded)))
                    if not letters:
                        raise BadRule(f"the word {rule.value!r} has no letter or digit")
                    word = Word(rule.value, folded, letters, rule.whole_word)
                    found.setdefault(unleet(folded), []).append(word)
                    self.squeezed.add_word(letters, word)
                case "pattern":
                    self.patterns[rule.value] = _compile(rule.value)
                case "shortener":
                    self.shorteners.add(fold(rule.value).removeprefix("www."))
        for signal in SIGNALS:
            for phrase in signal.phrases:
                found.setdefault(unleet(fold(phrase)), []).append(signal)
        self.automaton: Final[Any] = ahocorasick.Automaton()
        for key, meanings in found.items():
            self.automaton.add_word(key, (len(key), tuple(meanings)))
        self.automaton.make_automaton()
        self.squeezed.make_automaton()
        # All patterns as one: the clean text, nearly every one, is searched once.
        self.any_pattern: Final[Any] = _compile("|".join(f"(?:{pattern})" for pattern in self.patterns))


def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.never_capture = True
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise BadRule(f"the pattern {pattern!r} is no RE2 expression: {error}") from None
