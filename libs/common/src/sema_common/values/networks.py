"""Which MNO a number was issued to: the MNO registry as a pure longest-prefix matcher, in two tiers.

The team's curated rows come first; libphonenumber's carrier data answers only where no curated row matches,
however long its own prefix. Numbers are ported, so what comes out is a well-founded guess, never proof.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sema_common.values.msisdn import Msisdn

Source = Literal["curated", "libphonenumber"]


@dataclass(frozen=True, slots=True)
class MnoRow:
    """A row of `core.mno_prefixes`: the E.164 digits, without plus, that an MNO's numbers begin with."""

    prefix: str
    country: str
    mno: str
    source: Source


@dataclass(frozen=True, slots=True)
class Network:
    """An MNO of one country, and the tier that named it: 1 curated, 2 carrier data."""

    country: str
    mno: str
    tier: Literal[1, 2]


class MnoTable:
    """Immutable once built; a change of the registry is a new table.

    ValueError when one source names two MNOs for one prefix: nothing could tell which is meant. The same
    MNO twice is harmless.
    """

    def __init__(self, rows: Iterable[MnoRow]) -> None:
        tiers: Final[dict[Source, dict[str, Network]]] = {"curated": {}, "libphonenumber": {}}
        for row in rows:
            network = Network(row.country, row.mno, 1 if row.source == "curated" else 2)
            known = tiers[row.source].setdefault(row.prefix, network)
            if known != network:
                raise ValueError(f"{row.source} names {known.mno} and {row.mno} for the prefix {row.prefix}")
        # Per tier, longest first: the characters to look up (plus included) and the rows of that length.
        self._steps: Final = [
            (1 + length, {"+" + prefix: network for prefix, network in tier.items() if len(prefix) == length})
            for tier in tiers.values()
            for length in sorted({len(prefix) for prefix in tier}, reverse=True)
        ]
        self._size: Final = sum(map(len, tiers.values()))

    def __len__(self) -> int:
        return self._size

    def lookup(self, msisdn: Msisdn) -> Network | None:
        """The MNO of a number, or None where neither tier knows its prefix (`unknown_network`)."""
        for length, networks in self._steps:
            network = networks.get(msisdn[:length])
            if network is not None:
                return network
        return None
