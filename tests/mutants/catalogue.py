"""Defects worth money or trust, one small edit each, and the quickest test that has to notice it."""

from typing import Final

from tests.mutants.doors import DOORS
from tests.mutants.floor import FLOOR
from tests.mutants.money import MONEY
from tests.mutants.sending import SENDING

MUTANTS: Final = (*MONEY, *SENDING, *FLOOR, *DOORS)
