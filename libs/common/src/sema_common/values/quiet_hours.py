"""When a campaign may ring at its recipients: the hours of their own country. Pure.

Promotional texts go between 08:00 and 18:00: the strictest reading of what regulators and networks ask for (Kenya's
CA 07:00 to 19:00, one Kenyan network until 18:00, Nigeria's NCC 08:00 to 20:00). A country with two zones is open
when both are.
"""

from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

OPENS: Final = time(8)
CLOSES: Final = time(18)

_NAIROBI, _LAGOS, _MAPUTO, _ABIDJAN = "Africa/Nairobi", "Africa/Lagos", "Africa/Maputo", "Africa/Abidjan"

ZONES: Final[dict[str, tuple[str, ...]]] = {
    "DZ": ("Africa/Algiers",), "AO": (_LAGOS,), "BJ": (_LAGOS,), "BW": (_MAPUTO,), "BF": (_ABIDJAN,),
    "BI": (_MAPUTO,), "CV": ("Atlantic/Cape_Verde",), "CM": (_LAGOS,), "CF": (_LAGOS,),
    "TD": ("Africa/Ndjamena",), "KM": (_NAIROBI,), "CG": (_LAGOS,), "CI": (_ABIDJAN,), "CD": (_LAGOS, _MAPUTO),
    "DJ": (_NAIROBI,), "EG": ("Africa/Cairo",), "GQ": (_LAGOS,), "ER": (_NAIROBI,),
    "SZ": ("Africa/Johannesburg",), "ET": (_NAIROBI,), "GA": (_LAGOS,), "GM": (_ABIDJAN,), "GH": (_ABIDJAN,),
    "GN": (_ABIDJAN,), "GW": ("Africa/Bissau",), "KE": (_NAIROBI,), "LS": ("Africa/Johannesburg",),
    "LR": ("Africa/Monrovia",), "LY": ("Africa/Tripoli",), "MG": (_NAIROBI,), "MW": (_MAPUTO,),
    "ML": (_ABIDJAN,), "MR": (_ABIDJAN,), "MU": ("Indian/Mauritius",), "MA": ("Africa/Casablanca",),
    "MZ": (_MAPUTO,), "NA": ("Africa/Windhoek",), "NE": (_LAGOS,), "NG": (_LAGOS,), "RW": (_MAPUTO,),
    "SN": (_ABIDJAN,), "SC": ("Indian/Mahe",), "SL": (_ABIDJAN,), "SO": (_NAIROBI,),
    "ZA": ("Africa/Johannesburg",), "SS": ("Africa/Juba",), "SD": ("Africa/Khartoum",),
    "ST": ("Africa/Sao_Tome",), "TZ": (_NAIROBI,), "TG": (_ABIDJAN,), "TN": ("Africa/Tunis",),
    "UG": (_NAIROBI,), "ZM": (_MAPUTO,), "ZW": (_MAPUTO,),
}  # fmt: skip

_zone: Final = cache(ZoneInfo)


def opens_at(country: str, now: datetime) -> datetime | None:
    """None while recipients in `country` may be written to, else when they may be next (UTC).

    A country that is not in the table has no quiet hours: nothing is known of its clock.
    """
    moment = now
    zones = [_zone(name) for name in ZONES.get(country, ())]
    while True:
        later = max((_opens_at(zone, moment) for zone in zones), default=moment)
        if later == moment:
            return None if moment == now else moment.astimezone(UTC)
        moment = later


def _opens_at(zone: ZoneInfo, moment: datetime) -> datetime:
    """`moment` itself while this zone is open, else its next opening."""
    local = moment.astimezone(zone)
    if OPENS <= local.time() < CLOSES:
        return moment
    day = local.date() if local.time() < OPENS else local.date() + timedelta(days=1)
    return datetime.combine(day, OPENS, zone).astimezone(UTC)
