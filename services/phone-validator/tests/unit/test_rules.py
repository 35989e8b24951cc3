import pytest

from sema_common.values.networks import MnoRow, MnoTable
from sema_phone_validator.rules import Tally, Verdict, judge, tally

NETWORKS = MnoTable(
    [
        MnoRow("25471", "KE", "Safaricom", "curated"),
        MnoRow("25474", "KE", "Airtel", "curated"),
        MnoRow("25474", "KE", "Safaricom", "libphonenumber"),
        MnoRow("25473", "KE", "Airtel", "libphonenumber"),
        MnoRow("22507", "CI", "Orange", "libphonenumber"),
    ]
)


@pytest.mark.parametrize(
    ("phone", "region", "verdict"),
    [
        ("+254712345678", None, Verdict(None, "+254712345678", "KE", "Safaricom", 1)),
        ("0712 345 678", "KE", Verdict(None, "+254712345678", "KE", "Safaricom", 1, "+254712345678")),
        ("254712345678", "KE", Verdict(None, "+254712345678", "KE", "Safaricom", 1, "+254712345678")),
        # The team's row wins over the carrier data, which answers only where the team has none.
        ("+254740123456", None, Verdict(None, "+254740123456", "KE", "Airtel", 1)),
        ("+254733123456", None, Verdict(None, "+254733123456", "KE", "Airtel", 2)),
        # A leading zero is no trunk prefix here: it stays.
        ("+2250707123456", "KE", Verdict(None, "+2250707123456", "CI", "Orange", 2)),
        # A mobile that exists, of an MNO that nobody knows.
        ("+254770123456", None, Verdict("unknown_network", "+254770123456", "KE")),
        ("0712345678", None, Verdict("not_e164")),
        ("0712FLOWER", "KE", Verdict("letters")),
        ("0712345678 x12", "KE", Verdict("extension")),
        ("071234567", "KE", Verdict("too_short")),
        ("", "KE", Verdict("empty")),
        ("1" * 500, "KE", Verdict("too_long")),
        # Sure what was meant: the plus is missing; the number has moved to the present plan.
        ("254712345678", None, Verdict("not_e164", suggestion="+254712345678")),
        ("+22507123456", None, Verdict("old_numbering_plan", suggestion="+2250707123456")),
    ],
)
def test_a_number_is_judged_with_its_reason(phone: str, region: str | None, verdict: Verdict) -> None:
    assert judge(phone, region, NETWORKS) == verdict


def test_a_tally_counts_each_verdict_once_and_adds_up() -> None:
    safaricom = Verdict(None, "+254712345678", "KE", "Safaricom", 1)
    counted = tally(
        [safaricom, safaricom, Verdict("letters"), Verdict("unknown_network", "+254770123456", "KE")]
    )
    assert counted == Tally(2, 2, {"Safaricom": 2}, {"letters": 1, "unknown_network": 1})
    assert counted + tally([]) == counted
    twice = counted + counted
    assert (twice.processed, twice.valid, twice.by_mno) == (8, 4, {"Safaricom": 4})
