"""One request to a customer: every bound holds, and no trick of DNS or HTTP leads to another address."""

import asyncio
import socket
import ssl
import time
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from receiver import Receiver, receiving

from sema_webhook_delivery.clients import Answer, WebhookClient


class Names(AbstractResolver):
    """Answers each look-up of a name with the next of its addresses."""

    def __init__(self, *answers: list[str], delay: float = 0.0) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.delay = delay

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked += 1
        if self.delay:
            await asyncio.get_running_loop().create_future()
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(hostname=host, host=a, port=port, proto=0, flags=0,
                          family=socket.AF_INET6 if ":" in a else socket.AF_INET)
            for a in addresses
        ]  # fmt: skip

    async def close(self) -> None:
        return None


@pytest.fixture
async def receiver() -> Any:
    async with receiving() as found:
        yield found


async def post(url: str, **options: Any) -> Answer:
    async with WebhookClient.open(**options) as client:
        return await client.post(url, b"{}", {"webhook-id": "1"})


async def test_a_receiver_that_hangs_is_left_after_the_total(receiver: Receiver) -> None:
    receiver.hangs.add("/")
    answer = await post(receiver.url + "/", allow_loopback=True, total_seconds=0.2)
    assert (answer.status, answer.error) == (None, "timeout")
    assert answer.seconds < 1.0


async def test_an_endless_body_is_cut_and_never_decompressed(receiver: Receiver) -> None:
    answer = await post(receiver.url + "/endless", allow_loopback=True)
    assert answer.status == 200
    assert answer.response == "x" * 1024
    assert receiver.bytes_sent["/endless"] < 8 * 1024 * 1024


async def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        answer = await post(f"http://127.0.0.1:{probe.getsockname()[1]}/", allow_loopback=True)
    assert (answer.status, answer.error) == (None, "connect")


@pytest.mark.parametrize(
    "url",
    ["http://a.example/", "https://a.example:22/", "https://127.0.0.1/", "https://u:p@a.example/", "https://127.1/",
     "https://[::ffff:169.254.169.254]/", "https://localhost/", "https://2130706433/", "ftp://a.example/"],
)  # fmt: skip
async def test_a_url_that_is_not_public_is_not_even_resolved(url: str) -> None:
    names = Names(["93.184.216.34"])
    answer = await post(url, resolver=names)
    assert (answer.status, answer.error, names.asked) == (None, "unsafe_url", 0)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"], ["100.64.0.1"], ["::1"], ["::ffff:127.0.0.1"],
     ["64:ff9b::a9fe:a9fe"], ["2002:7f00:1::"], ["fe80::1%eth0"], ["fd00::1"], ["224.0.0.1"],
     ["93.184.216.34", "127.0.0.1"]],
)  # fmt: skip
@pytest.mark.parametrize("allow_loopback", [False, True])
async def test_a_name_that_leads_inside_is_refused_when_dialled(
    addresses: list[str], allow_loopback: bool
) -> None:
    """OWASP API7:2023, ASVS 1.3.6."""
    if allow_loopback and addresses in (["127.0.0.1"], ["::1"], ["93.184.216.34", "127.0.0.1"]):
        addresses = ["10.0.0.1"]
    answer = await post("https://rebinds.example/", resolver=Names(addresses), allow_loopback=allow_loopback)
    assert (answer.status, answer.error) == (None, "address_refused")


async def test_a_name_is_judged_at_every_dial_not_once(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sema_webhook_delivery.clients.DNS_CACHE_SECONDS", 0)
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    port = receiver.url.rpartition(":")[2]
    async with WebhookClient.open(allow_loopback=True, resolver=names) as client:
        headers = {"connection": "close"}
        first = await client.post(f"http://localhost:{port}/a", b"{}", headers)
        second = await client.post(f"http://localhost:{port}/a", b"{}", headers)
    assert first.status == 204
    assert second.error == "address_refused"
    assert len(receiver.seen) == 1


async def test_slow_dns_delays_only_its_own_name(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sema_webhook_delivery.clients.RESOLVE_SECONDS", 0.2)
    async with WebhookClient.open(allow_loopback=True, resolver=Names(["1.1.1.1"], delay=60)) as client:
        slow = asyncio.create_task(client.post("https://slow.example/", b"{}", {}))
        fast = await client.post(receiver.url + "/", b"{}", {})
        assert not slow.done()
        answer = await slow
    assert fast.status == 204
    assert (answer.status, answer.error) == (None, "name_not_resolved")


async def test_a_kept_connection_that_has_died_is_no_failed_attempt() -> None:
    """The peer answers once on each connection and closes it when it sees a second request."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n{}")
        requests += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, WebhookClient.open(allow_loopback=True) as client:
        answers = [await client.post(url, b"{}", {}) for _ in range(3)]
    assert [a.status for a in answers] == [200] * 3
    assert requests == 3


async def test_garbage_instead_of_http_is_an_answer_like_any_failure() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        answer = await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", allow_loopback=True)
    assert answer.status is None
    assert answer.error in ("not_http", "disconnected")


async def test_an_untrusted_certificate_is_refused(receiver: Receiver) -> None:
    started = time.monotonic()
    answer = await post(
        receiver.url.replace("http:", "https:") + "/", allow_loopback=True, tls=ssl.create_default_context()
    )
    assert (answer.status, answer.error) == (None, "tls")
    assert time.monotonic() - started < 3.0
