"""Origin validation allows what Channels' validator allows; a refusal is logged and counted."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from channels.security.websocket import OriginValidator
from channels.testing import WebsocketCommunicator
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_gateway.security.denial import Receive, Scope, Send
from realtime_gateway.security.origins import OriginValidation, allowed_hosts_origin_validation
from realtime_gateway.telemetry import recorder


async def accepting(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def accepted(application: Any, origin: bytes | None) -> bool:
    headers = [] if origin is None else [(b"origin", origin)]
    return bool((await WebsocketCommunicator(application, "/ws/", headers=headers).connect())[0])


def refusals() -> float:
    return recorder.denials.values.get("origin", 0)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (b"https://chat.example.com", True),
        (b"https://chat.example.com:443", True),
        (b"https://a.chats.example.com", True),
        (b"http://chat.example.com", False),
        (b"https://evil.example", False),
        (b"https://chat.example.com.evil.example", False),
        (b"null", False),
        (None, False),
        (b"http://[::1", False),
        (b"https://chat.example.com:99999", False),
        (b"https://\xff\xfe", False),
    ],
)
async def test_whose_page_may_connect(origin: bytes | None, expected: bool) -> None:
    before = refusals()
    application = OriginValidation(accepting, ["https://chat.example.com", "https://.chats.example.com"])
    assert await accepted(application, origin) is expected
    assert refusals() - before == (0 if expected else 1)


@given(st.text(alphabet="htps:/[]@.-é%09az", max_size=30))
@settings(max_examples=300, deadline=None)
def test_what_channels_decides_is_decided_here_and_what_it_raises_on_is_refused(origin: str) -> None:
    from urllib.parse import urlparse

    allowed = ["https://chat.example.com", "http://a.z", ".az"]
    try:
        upstream = OriginValidator(accepting, allowed).valid_origin(urlparse(origin))
    except ValueError:
        upstream = False
    assert OriginValidation(accepting, allowed)._is_allowed(origin) is upstream


async def test_a_refusal_says_what_was_wanted_and_what_came(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "realtime_gateway.security"):
        await accepted(OriginValidation(accepting, ["chat.example.com"]), b"https://evil.example\r\nx" + b"y" * 1000)
    [line] = caplog.messages
    assert "evil.example" in line
    assert "chat.example.com" in line
    assert "\n" not in line
    assert len(line) < 500


@pytest.mark.parametrize(
    ("hosts", "debug", "origin", "expected"),
    [
        (["chat.example.com"], False, b"http://chat.example.com:8000", True),
        (["chat.example.com"], True, b"http://localhost:8000", False),
        ([], True, b"http://localhost:8000", True),
        ([], True, b"http://[::1]:8000", True),
        ([], False, b"http://localhost:8000", False),
        (["*"], False, b"http://anything", True),
        (["*"], False, None, True),
    ],
)
async def test_the_sites_own_hosts_are_allowed(
    hosts: list[str], debug: bool, origin: bytes | None, expected: bool
) -> None:
    with override_settings(ALLOWED_HOSTS=hosts, DEBUG=debug):
        assert await accepted(allowed_hosts_origin_validation(accepting), origin) is expected


async def test_it_is_for_websockets_only() -> None:
    with pytest.raises(ValueError, match="WebSockets only"):
        await OriginValidation(accepting, ["*"])({"type": "http"}, None, None)  # type: ignore[arg-type]
