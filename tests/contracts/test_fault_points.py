"""The fault suite knows every fault point of the code, and none that is not there."""

import re

from deploy.local.layout import ROOT
from tests.faults.points import ALL

_POINT = re.compile(r'fault\("([a-z_.]+)"[,)]')


def test_the_matrix_covers_every_fault_point() -> None:
    sources = [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    found = [point for source in sources for point in _POINT.findall(source.read_text())]
    found.remove("sender.after_claim")  # the example in its own documentation
    assert sorted(found) == sorted(ALL), "a name twice, or one that the matrix does not have"
