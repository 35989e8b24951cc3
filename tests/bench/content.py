"""How many texts a second one core judges, with 5,000 blocked terms. `python -m tests.bench.content` needs no stack."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from sema_content_checker import Judge, Rule, RuleSet, check
from sema_content_checker.folding import fold, squeeze
from tests.bench.figures import Figure, show
from tests.bench.stack import BenchStack
from tests.kit.texts import AMHARIC, ARABIC, ENGLISH, FRENCH, ORDINARY, SWAHILI, seed_rules

TERMS: Final = 5_000
TEXTS: Final = 20_000
PER_SECOND: Final = 50_000
ROUNDS: Final = 3

_SYLLABLES: Final = [c + v for c in "bcdfghjklmnprstvwyz" for v in "aeiou"]


def blocked_terms(count: int) -> list[str]:
    """Made-up words of two to five syllables and, each tenth, phrases of two words: always the same."""
    dice = random.Random(7)
    ordinary = [squeeze(fold(text), signs=False) for text in ORDINARY]
    terms: dict[str, None] = {}
    while len(terms) < count:
        word = "".join(dice.choices(_SYLLABLES, k=dice.choice((2, 3, 3, 4, 4, 5))))
        if len(terms) % 10 == 0:
            word += " " + "".join(dice.choices(_SYLLABLES, k=3))
        if not any(squeeze(word, signs=False) in text for text in ordinary):
            terms[word] = None
    return list(terms)


def varied(texts: Sequence[str], count: int) -> list[str]:
    """So many texts, no two the same: the numbers in them differ, as they do in one-time codes and alerts."""
    dice = random.Random(11)
    made: list[str] = []
    while len(made) < count:
        text = re.sub(r"[0-9]", lambda _: dice.choice("0123456789"), texts[len(made) % len(texts)])
        made.append(f"{text} {len(made)}")
    return made


def rate(judge: Callable[[str], object], texts: Sequence[str]) -> float:
    """Texts a second of this thread's CPU; the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.thread_time()
        for text in texts:
            judge(text)
        best = min(best, time.thread_time() - started)
    return len(texts) / best


async def checks(stack: BenchStack | None = None) -> AsyncIterator[Figure]:
    """Texts of the markets' languages, each its own; beside one compiled alternation, which sees through no dress."""
    terms = blocked_terms(TERMS - len(seed_rules()))
    rules = RuleSet("bench", [*seed_rules(), *(Rule("word", term) for term in terms)])
    alternation = re.compile(rf"\b(?:{'|'.join(map(re.escape, terms))})\b", re.IGNORECASE)
    mixed = varied(ORDINARY, TEXTS)
    baseline = rate(alternation.search, mixed[: TEXTS // 20])
    refused = sum(not check(text, rules).allowed for text in mixed)
    yield Figure(
        *(f"content check, {TERMS:,} blocked terms", rate(lambda text: check(text, rules), mixed), "texts/s"),
        PER_SECOND,
        False,
        *("one alternation of the terms", baseline),
        f"{sum(map(len, mixed)) / len(mixed):.0f} characters on average, {refused} refused",
    )
    for name, texts in (
        ("English", ENGLISH),
        ("Swahili", SWAHILI),
        ("French", FRENCH),
        ("Amharic, Arabic", AMHARIC + ARABIC),
    ):
        some = varied(texts, TEXTS // 4)
        yield Figure(f"  {name}", rate(lambda text: check(text, rules), some), "texts/s")
    bad = [f"Fr33 m0ney! {term.upper()} for you, see bit.ly/{number}" for number, term in enumerate(terms)]
    yield Figure("  refused for two reasons", rate(lambda text: check(text, rules), bad), "texts/s")
    judge = Judge(rules)
    same = mixed[:1_000] * (TEXTS // 1_000)
    yield Figure("  a text judged before", rate(judge, same), "texts/s", note="of 1,000 that repeat")


async def _alone() -> None:
    show([figure async for figure in checks()])


if __name__ == "__main__":
    asyncio.run(_alone())
