"""Sender IDs that a reader could take for each other have one skeleton."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_content_checker import skeleton
from sema_content_checker.folding import fold


@pytest.mark.parametrize(
    "lookalike",
    [
        "safaricom", "SAFARICOM", "Safаricom", "Safar1com", "SAFARlCOM", "SAFAR|COM", "Safari Com",
        "SAFARI-COM",
        "Saf\u200baricom", "Ｓａｆａｒｉｃｏｍ", "Sáfaricóm", "5afaric0m",
        "Safaricorn", "ՏAFARICOM", "ЅАFАRІСОМ",
    ],
)  # fmt: skip
def test_lookalikes_share_a_skeleton(lookalike: str) -> None:
    assert skeleton(lookalike) == skeleton("Safaricom")


def test_different_names_do_not() -> None:
    names = ["Safaricom", "SafariCoin", "Safari", "Airtel", "Equity", "KCB", "SEMALINK", "MPESA", "NCBA"]
    assert len({skeleton(name) for name in names}) == len(names)


@given(st.text())
def test_a_skeleton_has_letters_and_digits_only_and_is_its_own(text: str) -> None:
    bones = skeleton(text)
    assert bones == "" or bones.isalnum()
    assert skeleton(bones) == bones


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)
