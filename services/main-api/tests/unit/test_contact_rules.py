"""What a row of an uploaded table says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values.errors import Overloaded, Refused
from sema_main_api.contacts import rules, uploading

HEADER = rules.columns([" Phone ", "NAME", "Town", "sema_mno", "", ""])


def test_columns_are_named_by_the_header_and_ours_are_passed_over() -> None:
    assert rules.Columns(4, 0, 1, ((2, "Town"),)) == HEADER


@pytest.mark.parametrize(
    "header",
    [
        [],
        ["number"],
        ["phone", "Phone"],
        ["phone", "a", "a"],
        ["phone", "x" * 65],
        ["phone", "a{b"],
        ["phone", *map(str, range(51))],
    ],
)
def test_a_header_that_cannot_be_understood_is_refused(header: list[str]) -> None:
    with pytest.raises(Refused):
        rules.columns(header)


def test_a_row_may_be_short_and_its_empty_cells_are_no_attributes() -> None:
    contact = rules.contact(["'+254712345678"], HEADER, None)
    assert contact == rules.Contact("+254712345678", "+254712345678", None, {})
    assert rules.contact(["0712345678", "", " x ", "y", "", ""], HEADER, "KE").attributes == {"Town": "x"}


@given(st.sampled_from(["0712345678", "+254712345678", "254712345678", "712345678", "+254 712-345-678"]))
def test_every_spelling_of_a_number_has_the_same_key(phone: str) -> None:
    assert rules.phone_key(phone, "KE") == "+254712345678"


@given(st.text(max_size=20))
def test_what_is_no_number_never_has_a_numbers_key(text: str) -> None:
    key = rules.phone_key(text, None)
    assert rules.phone_key(key, None) == key


def test_attributes_of_a_list_are_bounded() -> None:
    assert rules.merged_fields(["a", "b"], ["b", "c"]) == ["a", "b", "c"]
    with pytest.raises(Refused):
        rules.merged_fields([str(i) for i in range(50)], ["x"])


def test_a_batch_holds_each_contact_once_and_what_was_said_last() -> None:
    upload = uploading.Upload(uploading.Disk(1 << 20), "KE")
    upload.feed(b"phone,name,a,b\n0712345678,Ann,1,\n+254712345678,,2,3\n")
    upload.finish()
    (batch,) = upload.batches()
    assert upload.received == 2
    assert '"key":"+254712345678"' in batch
    assert '"name":"Ann","attributes":{"a":"2","b":"3"}' in batch
    upload.close()


def test_uploads_share_the_disk_and_give_back_what_they_took() -> None:
    disk = uploading.Disk(300)
    first, second = uploading.Upload(disk, "KE"), uploading.Upload(disk, "KE")
    first.feed(b"phone\n0712345678\n")
    first.finish()
    second.feed(b"phone\n0712345678\n0712345679\n")
    with pytest.raises(Overloaded):
        second.finish()
    first.close()
    first.close()
    second.finish()
    second.close()
    disk.take(300)
