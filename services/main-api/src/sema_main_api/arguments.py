"""Arguments of the operators' command line: from what was typed to what is meant, or to what was wrong with it."""

import argparse
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from sema_common.values.clock import parse_time
from sema_common.values.money import quantize
from sema_common.values.senders import is_sender_id

MAX_CREDIT: Final = Decimal(10) ** 12


def name(text: str) -> str:
    """An account's name."""
    if not 1 <= len(text.strip()) <= 200:
        raise argparse.ArgumentTypeError("a name has 1 to 200 characters")
    return text.strip()


def credit(text: str) -> Decimal:
    """An amount, at 4 places."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError("not an amount") from None
    if not 0 <= amount <= MAX_CREDIT or quantize(amount) != amount:
        raise argparse.ArgumentTypeError("an amount is 0 or more, with at most 4 places")
    return quantize(amount)


def moment(text: str) -> datetime:
    """RFC 3339."""
    try:
        return parse_time(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def month(text: str) -> date:
    """The first day of `2026-10`."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise argparse.ArgumentTypeError("a month is written 2026-10") from None


def sender(text: str) -> str:
    """A sender ID."""
    if not is_sender_id(text):
        raise argparse.ArgumentTypeError("not a sender ID")
    return text


def email(text: str) -> str:
    """An address, in lower case."""
    local, at, host = text.strip().lower().partition("@")
    if not (local and at and host) or len(text) > 254 or " " in text:
        raise argparse.ArgumentTypeError("not an e-mail address")
    return f"{local}@{host}"
