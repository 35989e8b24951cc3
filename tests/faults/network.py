"""The stack's proxies in front of its stores (`deploy.local.proxies`), as their operator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx

from deploy.local.layout import Layout


@dataclass
class Network:
    http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def open(cls, layout: Layout) -> AsyncIterator[Self]:
        async with httpx.AsyncClient(base_url=layout.http("proxies"), timeout=10.0) as http:
            yield cls(http)

    @asynccontextmanager
    async def behaving(self, store: str, **how: Any) -> AsyncIterator[None]:
        """latency_ms, slice, swallow, refuse, cut_after and chance, inside the block."""
        answer = await self.http.put(f"/{store}", json=how)
        assert answer.status_code == 200, answer.text
        try:
            yield
        finally:
            await self.http.put(f"/{store}", json={})

    async def act(self, store: str, what: str) -> int:
        """`cut`, `close` or `mute` every connection of now; how many there were."""
        before = await self.show(store)
        answer = await self.http.post(f"/{store}/{what}")
        assert answer.status_code == 200, answer.text
        connections: int = before["connections"]
        return connections

    async def show(self, store: str) -> dict[str, Any]:
        state: dict[str, Any] = (await self.http.get(f"/{store}")).json()
        return state
