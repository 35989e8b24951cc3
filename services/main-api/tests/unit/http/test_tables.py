"""Laws of reading and writing tables."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values.errors import Refused
from sema_main_api.http.tables import MAX_RECORD, CsvReader, harmless, plain, write

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=20)
TABLES = st.lists(st.lists(CELLS, min_size=2, max_size=5), min_size=1, max_size=20)


def read(raw: bytes, cuts: list[int]) -> list[tuple[int, list[str]]]:
    """All rows, given in pieces of these sizes and one with what is left."""
    reader = CsvReader()
    rows = []
    for size in cuts:
        rows += reader.feed(raw[:size])
        raw = raw[size:]
    return rows + reader.feed(raw) + reader.finish()


def as_csv(table: list[list[str]], end: str = "\r\n", delimiter: str = ",") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(table)
    return out.getvalue()


@given(TABLES, st.lists(st.integers(0, 50)), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_rows_are_the_same_however_the_table_is_cut_and_its_lines_end(
    table: list[list[str]], cuts: list[int], end: str, bom: bool
) -> None:
    raw = as_csv(table, end).encode("utf-8-sig" if bom else "utf-8")
    assert [cells for _, cells in read(raw, cuts)] == [row for row in table if any(row)]


@given(TABLES, st.lists(st.integers(1, 9)))
def test_a_row_is_named_by_the_line_on_which_it_begins(table: list[list[str]], cuts: list[int]) -> None:
    text = as_csv(table, "\n")
    for line, cells in read(text.encode(), cuts):
        assert text.split("\n")[line - 1].startswith('"' + cells[0].replace('"', '""').split("\n")[0])


@given(st.binary(max_size=300), st.lists(st.integers(0, 20)))
def test_any_bytes_are_a_table_or_refused_however_they_are_cut(raw: bytes, cuts: list[int]) -> None:
    def outcome(pieces: list[int]) -> object:
        try:
            return read(raw, pieces)
        except Refused as refused:
            return refused.status

    assert outcome(cuts) == outcome([])
    assert outcome([]) in (415, 422) or isinstance(outcome([]), list)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_header_tells_the_delimiter(delimiter: str) -> None:
    rows = read(as_csv([["phone", "name"], ["1", "a,b;c"]], delimiter=delimiter).encode(), [])
    assert [cells for _, cells in rows] == [["phone", "name"], ["1", "a,b;c"]]


def test_quotes_as_people_type_them_are_taken() -> None:
    rows = read(b'phone,size\n1,5" screen\n2,"a" b\n3,say ""hi""\n', [30])
    assert [cells[1] for _, cells in rows] == ["size", '5" screen', "a b", 'say ""hi""']


def test_memory_is_bounded_by_one_row() -> None:
    reader = CsvReader()
    reader.feed(b"phone\n")
    reader.feed(b"x" * MAX_RECORD)
    with pytest.raises(Refused, match="longer than"):
        reader.feed(b"x")


@given(st.text(st.characters(codec="utf-8"), max_size=10))
def test_no_cell_that_is_written_is_a_formula(cell: str) -> None:
    """ASVS 1.2.10."""
    assert not harmless(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\x00"))
    written = write([["phone", cell]]).removesuffix("\r\n").removeprefix("phone,")
    assert written == cell or (written[0], written[-1]) == ('"', '"')
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r", "\x00"))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=10))
def test_what_was_read_comes_back_as_it_was(text: str) -> None:
    cell = plain(text)
    assert plain(harmless(cell)) == plain(cell)
    rows = read(write([["phone", cell], [cell, "x"]]).encode(), [])
    assert [plain(value) for value in rows[0][1]] == ["phone", plain(cell)]
