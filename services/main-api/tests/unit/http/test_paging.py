import base64
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values.errors import Refused
from sema_main_api.http.paging import PageQuery, Pager, number

ACCOUNT = uuid4()


class Filtered(PageQuery):
    status: str | None = None


def pager(
    cursor: str | None = None, *, name: str = "things", account: UUID = ACCOUNT, status: str | None = None
) -> Pager:
    return Pager(name, account, Filtered(limit=2, cursor=cursor, status=status))


def next_cursor(status: str | None = None) -> str:
    cursor = pager(status=status).page([1, 2, 3], str, str)["next_cursor"]
    assert isinstance(cursor, str)
    return cursor


def test_a_page_shows_its_limit_and_says_whether_there_is_more() -> None:
    assert pager().page([1, 2, 3], str, str)["data"] == ["1", "2"]
    assert pager().page([1, 2, 3], str, str)["has_more"] is True
    assert pager().page([1, 2], str, str) == {"data": ["1", "2"], "has_more": False, "next_cursor": None}
    assert pager().page([], str, str) == {"data": [], "has_more": False, "next_cursor": None}


def test_the_next_page_continues_after_the_last_row_shown() -> None:
    assert pager(next_cursor()).after(int) == 2
    assert pager().after(int) is None


@pytest.mark.parametrize(
    "other",
    [{"name": "others"}, {"account": uuid4()}, {"status": "failed"}],
    ids=["list", "account", "filter"],
)
def test_a_cursor_only_fits_the_list_that_it_came_from(other: dict[str, object]) -> None:
    with pytest.raises(Refused) as caught:
        pager(next_cursor(), **other)  # type: ignore[arg-type]
    assert (caught.value.status, caught.value.code) == (400, "invalid_cursor")


def test_a_cursor_with_another_limit_still_fits() -> None:
    assert Pager("things", ACCOUNT, Filtered(limit=100, cursor=next_cursor())).after(int) == 2


def test_a_changed_position_is_noticed() -> None:
    raw = bytearray(base64.urlsafe_b64decode(next_cursor() + "=="))
    raw[-1] ^= 1
    with pytest.raises(Refused):
        pager(base64.urlsafe_b64encode(raw).decode())


@given(st.text(max_size=60))
def test_no_text_is_a_cursor_by_accident(text: str) -> None:
    with pytest.raises(Refused) as caught:
        pager(text)
    assert caught.value.code == "invalid_cursor"


def test_a_position_that_its_list_cannot_read_is_no_cursor() -> None:
    with pytest.raises(Refused):
        pager(next_cursor()).after(UUID)


@pytest.mark.parametrize("text", ["-1", str(1 << 63), "1.5", "", "nonsense"])
def test_a_number_that_the_column_could_not_hold_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match=r"no row|invalid literal"):
        number(text)
    assert number(str((1 << 63) - 1)) == (1 << 63) - 1
