"""Rules that cannot work are refused by name; those of a new installation work."""

import random
import time

import pytest

from sema_content_checker import BadRule, Judge, Rule, RuleSet, check
from sema_content_checker.ruleset import MOST_PATTERNS
from tests.kit.texts import seed_rules


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (Rule("pattern", "(unclosed"), "unclosed"),
        (Rule("pattern", r"(a)\1"), "RE2"),
        (Rule("word", " \u200b!"), "no letter"),
        (Rule("word", "a"), "too short"),
        (Rule("word", "ass", whole_word=False), "too short to be looked for inside"),
        (Rule("shortener", "https://bit.ly/x"), "without https"),
        (Rule("shortener", "ly"), "no domain"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_by_name(rule: Rule, named: str) -> None:
    with pytest.raises(BadRule, match=named):
        RuleSet("1", [rule])


def test_without_rules_only_the_fixed_checks_remain() -> None:
    empty = RuleSet("0", [])
    assert check("anything at all, s h i t", empty).allowed
    assert not check("\x00", empty).allowed


SLOW_ELSEWHERE = [
    "(a+)+$x",
    "(a*)*b(a*)*!x",
    "(a|aa)+x",
    "(.*a){12}z",
    "(a|b)*a(a|b){14}c",
    "(a?){150}a{150}b",
    "[a-q][^u-z]{13}x",
    r"(\w+\s?)+!x",
]
LONGEST = 1_530  # characters: ten segments


@pytest.mark.parametrize("pattern", SLOW_ELSEWHERE)
def test_a_pattern_made_to_explode_does_not(pattern: str) -> None:
    rules = RuleSet("1", [Rule("pattern", pattern)])
    spoken = random.Random(1).choices("abcdefg ", k=LONGEST)
    for text in ("a" * LONGEST, "ab" * (LONGEST // 2), "".join(spoken), "é" * 670):
        started = time.perf_counter()
        assert check(text, rules).allowed
        assert time.perf_counter() - started < 0.25  # some ms; an engine that tracks back takes years


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(x{1,50}){1,15}y", "instructions"),
        (r"\pL{0,60}x", "instructions"),
        ("(((a{0,30}){0,30}){0,30}){0,30}", "RE2"),
        ("a" * 301, "longer than 300"),
        (".*", "every text"),
        ("x|", "every text"),
        (r"\w", "every text"),
    ],
)
def test_a_pattern_too_large_or_too_broad_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(BadRule, match=why):
        RuleSet("1", [Rule("pattern", pattern)])


def test_all_patterns_together_have_a_limit() -> None:
    with pytest.raises(BadRule, match="more than"):
        RuleSet("1", [Rule("pattern", f"pattern{n}") for n in range(MOST_PATTERNS + 1)])
    with pytest.raises(BadRule, match="together"):
        RuleSet("1", [Rule("pattern", f"a.{{0,99}}z{n}") for n in range(30)])


def test_a_pattern_knows_neither_case_nor_accents() -> None:
    rules = RuleSet("1", [Rule("pattern", "Prêt immédiat .{0,9}GRATUIT")])
    assert not check("PRET immédiat et gratuit", rules).allowed


def test_a_judge_remembers_as_it_judged() -> None:
    judge = Judge(RuleSet("1", [Rule("word", "forbidden")]))
    assert judge("a forbidden word") is judge("a forbidden word")
    assert not judge("a forbidden word").allowed
    assert Judge(RuleSet("2", []))("a forbidden word").allowed


def test_signs_of_phishing_are_shown_also_where_they_do_not_refuse() -> None:
    verdict = check("Act now: https://shop.example", RuleSet("1", []))
    assert verdict.allowed
    assert dict(verdict.signals) == {"presses for haste": 1, "has a link": 1}
    assert verdict.score == 2


def test_the_seed_compiles_and_judges() -> None:
    rules = seed_rules()
    assert len({(rule.kind, rule.value) for rule in rules}) == len(rules) > 40
    ruleset = RuleSet("seed", rules)
    assert check("Your parcel is at the Westlands shop, open 8.00 to 17.30.", ruleset).allowed
    for bad in (
        "Win FREE money",
        "http://cutt.ly/x",
        "putain!",
        "Send KES 500 to 0712345678 and receive KES 5000",
        "Your loan is approved, pay 300 processing first",
    ):
        assert not check(bad, ruleset).allowed, bad
