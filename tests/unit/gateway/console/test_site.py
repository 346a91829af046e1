"""What the page asks for, of one resource or of several."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from realtime_gateway.console.site import Site
from realtime_gateway.console.web import Answer, Request
from realtime_gateway.hosts import Shard


class One:
    """A source whose processes are not there any more."""

    def __init__(self, name: str, preview: bool = True) -> None:
        self.name = name
        self.preview = preview

    async def state(self) -> Mapping[str, Any]:
        return {"name": self.name}

    def admin_ports(self) -> Mapping[str, str]:
        return {}

    def lists(self, shards: int | None) -> tuple[Sequence[Shard], Sequence[Shard]] | None:
        now = (Shard("s0"),)
        return (now, tuple(Shard(f"s{index}") for index in range(shards or 1))) if self.preview else None


SITE = Site(lambda: {"town/chat": One("chat"), "town/shop": One("shop", preview=False)})


async def ask(path: str, site: Site = SITE, **query: str) -> Answer:
    return await site.handle(Request(path, query))


async def said(path: str, site: Site = SITE, **query: str) -> Any:
    return json.loads((await ask(path, site, **query)).body)


async def test_without_a_name_the_first_resource_is_shown_beside_the_names_of_all() -> None:
    assert await said("/api/state") == {
        "resources": ["town/chat", "town/shop"],
        "resource": "town/chat",
        "name": "chat",
    }


async def test_a_resource_is_asked_for_by_its_name() -> None:
    assert (await said("/api/state", resource="town/shop"))["name"] == "shop"
    assert (await ask("/api/ring", resource="town/shop", shards="2")).status == 400
    assert (await said("/api/ring", resource="town/chat", shards="2"))["after"] == ["s0", "s1"]


async def test_one_that_is_gone_has_no_state_and_no_traces() -> None:
    assert (await said("/api/state", resource="town/gone"))["name"] is None
    assert (await ask("/api/traces", resource="town/gone")).status == 404
    assert await said("/api/state", Site(dict)) == {"resources": [], "resource": "", "name": None}


async def test_traces_say_whether_anybody_keeps_spans() -> None:
    assert await said("/api/traces") == {"traces": [], "kept": False}


@pytest.mark.parametrize("query", [{"trace_id": "x"}, {"trace_id": "F" * 32}])
async def test_a_trace_id_has_its_form(query: dict[str, str]) -> None:
    assert (await ask("/api/traces", **query)).status == 400
