import pytest

from sema_common.values.errors import Refused
from sema_main_api.suppressions.rules import Table, table


def read(raw: bytes, country: str | None = None) -> Table:
    found = Table(country)
    for start in range(0, len(raw), 7):
        found.feed(raw[start : start + 7])
    found.finish()
    return found


def test_a_table_as_spreadsheets_write_it_is_read_with_bom_crlf_and_quotes() -> None:
    raw = (
        "\ufeffPhone,scope,Reason\r\n"
        '+254712345678,all,"said ""stop"", twice"\r\n'
        "\r\n"
        "0712345679,,\r\n"
        "+254712345678,promotional,\r\n"
        "12,,\r\n"
        "+254712345670,never,\r\n"
    ).encode()
    found = read(raw, "KE")
    assert (found.received, found.duplicates, found.invalid) == (5, 1, 2)
    assert [(o.msisdn, o.scope, o.reason) for o in found.wanted.values()] == [
        ("+254712345678", "promotional", None),
        ("+254712345679", "promotional", None),
    ]
    assert [(line, code) for line, code, _ in found.errors] == [(6, "premium_or_short"), (7, "invalid_row")]


@pytest.mark.parametrize(
    "raw",
    [
        "phone\n+254712345678\n".encode("utf-16"),
        b"phone\n\xff\xfa\n",
        b"number\n+254712345678\n",
        b"phone\n",
        b"",
        b'phone\n"' + b"1" * 200_000,
    ],
)
def test_what_is_no_table_is_refused_as_a_whole(raw: bytes) -> None:
    with pytest.raises(Refused, match="validation_failed"):
        read(raw)


def test_an_export_runs_no_formula_and_is_read_back() -> None:
    text = table([("+254712345678", "all", '=HYPERLINK("x")')], header=True)
    assert text == 'phone,scope,reason\r\n"\'+254712345678",all,"\'=HYPERLINK(""x"")"\r\n'
    assert list(read(text.encode()).wanted) == ["+254712345678"]
