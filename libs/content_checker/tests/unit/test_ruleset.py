"""Rules that cannot work are refused by name; those of a new installation work."""

import csv
import re
from pathlib import Path

import pytest

from sema_content_checker import BadRule, Kind, Rule, RuleSet, check

SEED = Path(__file__).parents[4] / "deploy/migrations/sql/0003_core_content_blocklist.sql"


def _seed() -> list[Rule]:
    rules = []
    for line in re.findall(r"^    \(('.*), (?:true|false)\)[,;]$", SEED.read_text("utf-8"), re.MULTILINE):
        [[kind, value, language]] = csv.reader([line], quotechar="'", skipinitialspace=True)
        kinds: dict[str, Kind] = {"word": "word", "pattern": "pattern", "shortener": "shortener"}
        rules.append(Rule(kinds[kind], value, language))
    return rules


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (Rule("pattern", "(unclosed"), "unclosed"),
        (Rule("pattern", r"(a)\1"), "RE2"),
        (Rule("word", " \u200b!"), "no letter"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_by_name(rule: Rule, named: str) -> None:
    with pytest.raises(BadRule, match=named):
        RuleSet("1", [rule])


def test_without_rules_only_the_fixed_checks_remain() -> None:
    empty = RuleSet("0", [])
    assert check("anything at all, s h i t", empty).allowed
    assert not check("\x00", empty).allowed


def test_a_pattern_made_to_explode_does_not() -> None:
    rules = RuleSet("1", [Rule("pattern", "(a+)+$"), Rule("pattern", "(x{1,50}){1,15}y")])
    assert check("a" * 50_000 + "b", rules).allowed


def test_the_seed_compiles_and_judges() -> None:
    rules = _seed()
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
