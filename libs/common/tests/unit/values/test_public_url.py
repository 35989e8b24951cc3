from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values.public_url import UnsafeUrl, check_public_url, is_public_address


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com/sms?tenant=1",
        "https://hooks.example.com:443/x",
        "https://hooks.example.com:8443/x",
        "https://xn--bcher-kva.example/x",
        "https://8.8.8.8/x",
        "https://[2606:4700:4700::1111]/x",
        "HTTPS://Hooks.Example.Com/X",
    ],
)
def test_a_public_https_url_passes(url: str) -> None:
    assert check_public_url(url).url == url


def test_what_passed_is_told_apart() -> None:
    found = check_public_url("https://Hooks.Example.com:8443/x")
    assert (found.scheme, found.host, found.port, found.address) == ("https", "hooks.example.com", 8443, None)
    assert check_public_url("https://8.8.8.8/").address == IPv4Address("8.8.8.8")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com",
        "http://hooks.example.com",
        "ftp://hooks.example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://user@hooks.example.com",
        "https://user:word@hooks.example.com",
        "https://@hooks.example.com",
        "https://hooks.example.com#part",
        "https://hooks.example.com:22",
        "https://hooks.example.com:80",
        "https://hooks.example.com:0",
        "https://hooks.example.com:99999",
        "https://hooks.example.com:port",
        "https://hooks.example.com\\@evil.example",
        "https://hooks.exa mple.com",
        "https://hooks.example.com/\n",
        "https://hooks.example.com/\x00",
        "https://bücher.example",
        "https://intranet",
        "https://localhost",
        "https://localhost.",
        "https://a.localhost",
        "https://printer.local",
        "https://metadata.google.internal",
        "https://-a.example.com",
        "https://a..example.com",
        "https://a_b.example.com",
        "https://example.com.",
        "https://127.0.0.1",
        "https://127.1",
        "https://0x7f000001",
        "https://2130706433",
        "https://0177.0.0.1",
        "https://0x7f.1",
        "https://127.0.0.1.",
        "https://0",
        "https://10.1.2.3",
        "https://172.16.0.1",
        "https://192.168.1.1",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1",
        "https://168.63.129.16",
        "https://198.18.0.1",
        "https://224.0.0.1",
        "https://255.255.255.255",
        "https://[::1]",
        "https://[::]",
        "https://[::ffff:169.254.169.254]",
        "https://[::ffff:8.8.8.8]",
        "https://[64:ff9b::7f00:1]",
        "https://[64:ff9b:1::7f00:1]",
        "https://[2002:7f00:1::]",
        "https://[2001:0:7f00:1::]",
        "https://[fe80::1]",
        "https://[fe80::1%25eth0]",
        "https://[fd00:ec2::254]",
        "https://[ff02::1]",
        "https://[2001:db8::1]",
        "https://[::1",
        "https://[hooks.example.com]",
        "https://hooks.example.com/" + "x" * 2048,
    ],
)
def test_every_other_url_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(UnsafeUrl) as refused:
        check_public_url(url)
    assert refused.value.reason.endswith(".")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:21040/hook", "http://localhost:9", "https://[::1]:9/", "http://127.8.8.8"]
)
def test_loopback_passes_only_where_it_is_allowed(url: str) -> None:
    assert check_public_url(url, allow_loopback=True).url == url
    with pytest.raises(UnsafeUrl):
        check_public_url(url)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "http://hooks.example.com", "https://127.1", "http://[::ffff:127.0.0.1]"]
)
def test_allowing_loopback_allows_nothing_else(url: str) -> None:
    with pytest.raises(UnsafeUrl):
        check_public_url(url, allow_loopback=True)


@given(st.text() | st.text(alphabet="https:/[]@.%0123456789abcdefx-").map(lambda tail: "https://" + tail))
def test_no_text_makes_it_fail_in_any_other_way(url: str) -> None:
    with suppress(UnsafeUrl):
        check_public_url(url)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_what_passes_is_never_what_the_standard_library_calls_private(
    address: IPv4Address | IPv6Address,
) -> None:
    if is_public_address(address):
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize("text", ["1.1.1.1", "41.90.0.1", "2c0f:fe38::1", "2a00:1450::1"])
def test_ordinary_addresses_are_public(text: str) -> None:
    assert is_public_address(ip_address(text))
