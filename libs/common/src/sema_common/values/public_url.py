"""Which URLs a customer may have us call: https on the public internet, and nothing behind our own walls.

The same two questions are asked twice. `check_public_url` when a URL is saved, on its text alone;
`is_public_address` when it is dialled, on the address that is really connected to, because a name may be
pointed elsewhere in between. Neither resolves anything.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

MAX_URL_LENGTH: Final = 2048
PUBLIC_PORTS: Final = frozenset({443, 8443})

Address = IPv4Address | IPv6Address

# IANA's special-purpose registries (RFC 6890 and successors) in our own words, as `ipaddress.is_global` lets
# multicast, NAT64 and 6to4 through, and each of those can carry a private address inside.
_CLOSED_IPV4: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT; also a cloud's metadata service
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # a cloud's host agent, on an address that looks public
            "169.254.0.0/16",  # link-local: the metadata service of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # multicast tunnelling
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
# Whatever is not global unicast is closed: loopback, mapped IPv4, NAT64, unique-local, link-local, multicast.
_OPEN_IPV6: Final = ip_network("2000::/3")
_CLOSED_IPV6: Final = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: carries an IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)

_LABEL: Final = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+", re.ASCII)
# A host whose last label is a number is an IPv4 address to a resolver, however it is written: 127.1,
# 0x7f000001, 2130706433 and 0177.0.0.1 all reach 127.0.0.1.
_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.ASCII)
_LOCAL_NAMES: Final = ("localhost", "local", "internal", "home.arpa")  # RFC 6761, 6762, 8375; ICANN 2024


class UnsafeUrl(ValueError):
    """A URL that we will not call; `reason` is a sentence for whoever gave it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """A URL that passed. `host` is lower-case; `address` is set when the host is written as an IP address."""

    url: str
    scheme: str
    host: str
    port: int
    address: Address | None = None


def is_public_address(address: Address) -> bool:
    """Whether anybody on the internet may reach this address, so that it is nothing of ours or our host's."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_IPV4)
    return address in _OPEN_IPV6 and not any(address in network for network in _CLOSED_IPV6)


def check_public_url(url: str, allow_loopback: bool = False) -> PublicUrl:
    """Judge a URL by its text; UnsafeUrl says what is wrong with it.

    https to a public name or address, port 443 or 8443, no user or password in it, no fragment.
    With `allow_loopback` (a developer's machine only) 127.0.0.1, [::1] and localhost pass too, by http and on
    any port.
    """
    if len(url) > MAX_URL_LENGTH:
        raise UnsafeUrl(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise UnsafeUrl(
            "The URL must be printable ASCII: write other characters percent-encoded, names in punycode."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UnsafeUrl("This is not a URL.") from None
    if parts.scheme not in ("https", "http"):
        raise UnsafeUrl("The URL must begin with https://.")
    if "@" in parts.netloc:
        raise UnsafeUrl("The URL must not hold a user name or password.")
    if "#" in url:
        raise UnsafeUrl("The URL must not hold a fragment.")
    bracketed = parts.netloc.startswith("[")
    address = _literal(host, bracketed)
    port = port if port is not None else 443 if parts.scheme == "https" else 80
    found = PublicUrl(url, parts.scheme, host, port, address)
    if allow_loopback and (host == "localhost" or (address is not None and address.is_loopback)):
        return found
    if parts.scheme != "https":
        raise UnsafeUrl("The URL must begin with https://.")
    if port not in PUBLIC_PORTS:
        raise UnsafeUrl("The port must be 443 or 8443.")
    if address is not None and not is_public_address(address):
        raise UnsafeUrl("The address is not on the public internet.")
    if address is None and not _is_public_name(host):
        raise UnsafeUrl("The host is not a name on the public internet.")
    return found


def _literal(host: str, bracketed: bool) -> Address | None:
    """The address that the host is written as; None for a name."""
    if not bracketed and not _NUMERIC.fullmatch(host):
        return None
    try:
        # A scope (fe80::1%eth0) names an interface of ours: no public address has one.
        address = ip_address(host) if "%" not in host else None
    except ValueError:
        address = None
    if address is None:
        raise UnsafeUrl("An IP address must be written in full: four decimal numbers, or IPv6 in brackets.")
    return address


def _is_public_name(host: str) -> bool:
    if len(host) > 253 or not _NAME.fullmatch(host):
        return False
    return not any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)
