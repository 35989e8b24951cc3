"""What makes a contact valid (spec 2, Phone Number Validation Worker). Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sema_common.values.msisdn import InvalidMsisdn, Msisdn, country_of, parse_msisdn, suggest
from sema_common.values.networks import MnoTable

UNKNOWN_NETWORK: Final = "unknown_network"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What we know of one number. `reason` is None exactly when it is valid; otherwise a key of
    `values.msisdn.REASONS`, or `unknown_network` for a mobile that neither tier of the registry knows.
    `suggestion` is how the number should be written, where that is sure and it is written otherwise."""

    reason: str | None = None
    msisdn: str | None = None
    country: str | None = None
    mno: str | None = None
    mno_tier: int | None = None
    suggestion: str | None = None

    @property
    def validity(self) -> str:
        return "invalid" if self.reason else "valid"


def judge(phone: str, region: str | None, networks: MnoTable) -> Verdict:
    """One number as a customer wrote it; `region` (ISO 3166) is what its list says about local forms."""
    try:
        msisdn = parse_msisdn(phone, region)
    except InvalidMsisdn as invalid:
        return Verdict(invalid.reason, suggestion=suggest(phone, region))
    network = networks.lookup(msisdn)
    country = network.country if network else country_of(msisdn)
    if len(country) != 2:  # numbers of no country, such as satellite phones
        return Verdict("unknown_country_code")
    if network is None:
        return Verdict(UNKNOWN_NETWORK, msisdn, country)
    correction: Msisdn | None = None if phone.startswith("+") else msisdn
    return Verdict(None, msisdn, country, network.mno, network.tier, correction)


@dataclass(frozen=True, slots=True)
class Tally:
    """A job's counters. `processed` is always `valid + invalid`."""

    valid: int = 0
    invalid: int = 0
    by_mno: Mapping[str, int] = field(default_factory=dict)
    by_reason: Mapping[str, int] = field(default_factory=dict)

    @property
    def processed(self) -> int:
        return self.valid + self.invalid

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.valid + other.valid,
            self.invalid + other.invalid,
            Counter(self.by_mno) + Counter(other.by_mno),
            Counter(self.by_reason) + Counter(other.by_reason),
        )


def tally(verdicts: Iterable[Verdict]) -> Tally:
    """The counters of these verdicts alone."""
    by_mno: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    for verdict in verdicts:
        if verdict.reason is not None:
            by_reason[verdict.reason] += 1
        elif verdict.mno is not None:
            by_mno[verdict.mno] += 1
    return Tally(by_mno.total(), by_reason.total(), by_mno, by_reason)


def judge_all(phones: Mapping[UUID, str], region: str | None, networks: MnoTable) -> dict[UUID, Verdict]:
    """Every contact's verdict, in the order given."""
    return {contact_id: judge(phone, region, networks) for contact_id, phone in phones.items()}
