"""Each seeded defect still fits the code, so that `make mutants` finds no stale one weeks later."""

import pytest

from deploy.local.layout import ROOT
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_defect_stands_where_its_catalogue_says_and_its_test_exists(mutant: Mutant) -> None:
    assert mutant.old != mutant.new
    assert (ROOT / mutant.path).read_text().count(mutant.old) == 1, f"{mutant.path} has changed under it"
    file, _, name = mutant.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text() if name else (ROOT / file).is_file()


def test_no_two_defects_share_a_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
