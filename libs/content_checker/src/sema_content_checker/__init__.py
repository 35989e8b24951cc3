"""Judges the text of an SMS: one implementation for the single send and for the campaign.

Pure: no I/O, no clock, no state but what the caller holds (a compiled RuleSet, or a Judge that also remembers). It
changes no text, logs none, and takes time in proportion to a text's length, whatever the rules are.
"""

from sema_content_checker.checks import Check, Judge, Reason, Verdict, check, check_template
from sema_content_checker.folding import skeleton
from sema_content_checker.ruleset import BadRule, Kind, Rule, RuleSet, normal_form
from sema_content_checker.signals import SPAM_SCORE

__all__ = [
    "SPAM_SCORE",
    "BadRule",
    "Check",
    "Judge",
    "Kind",
    "Reason",
    "Rule",
    "RuleSet",
    "Verdict",
    "check",
    "check_template",
    "normal_form",
    "skeleton",
]
