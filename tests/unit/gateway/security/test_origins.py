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

from realtime_gateway.errors import ConfigurationError
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


@pytest.mark.parametrize(
    ("pattern", "origin", "expected"),
    [
        ("null", b"null", True),
        ("null", None, False),
        ("(missing)", None, True),
        ("(missing)", b"null", False),
        ("https://bücher.example", b"https://xn--bcher-kva.example", True),
        ("https://faß.example", b"https://xn--fa-hia.example", True),
        ("https://faß.example", b"https://fass.example", False),
        ("https://βόλος.example:8443", b"https://xn--nxasmm1c.example:8443", True),
        ("https://bücher。example", b"https://xn--bcher-kva.example", True),
        (".BÜCHER.example", b"https://a.xn--bcher-kva.example", True),
        ("https://Chat.Example.COM", b"https://chat.example.com", True),
        ("https://chat.example.com:8443", b"https://chat.example.com:8443", True),
        ("https://chat.example.com:8443", b"https://chat.example.com", False),
        (".example.com", b"https://notexample.com", False),
        ("*", b"null", True),
    ],
)
async def test_what_is_a_choice_is_made_in_words(pattern: str, origin: bytes | None, expected: bool) -> None:
    assert await accepted(OriginValidation(accepting, [pattern]), origin) is expected


@pytest.mark.parametrize("pattern", ["https://bü cher.example", "https://ü..example", "https://-ü-.example"])
def test_a_pattern_that_can_be_no_domain_name_stops_the_start(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="no domain name"):
        OriginValidation(accepting, [pattern])


async def test_two_origins_are_refused_even_if_each_is_allowed() -> None:
    headers = [(b"origin", b"https://a.example"), (b"origin", b"https://a.example")]
    client = WebsocketCommunicator(OriginValidation(accepting, [".a.example"]), "/ws/", headers=headers)
    assert not (await client.connect())[0]


async def test_an_origin_that_tries_again_and_again_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    before = refusals()
    application = OriginValidation(accepting, ["https://a.example"])
    with caplog.at_level(logging.WARNING, "realtime_gateway.security"):
        for number in range(6):
            await accepted(application, b"https://evil-%d.example" % (number % 2))
    assert len(caplog.messages) == 2
    assert refusals() == before + 6


async def test_reporting_lets_everybody_pass_and_counts() -> None:
    before = recorder.denials.values.get("origin_reported", 0)
    assert await accepted(OriginValidation(accepting, ["a.example"], report_only=True), b"https://evil.example")
    assert recorder.denials.values["origin_reported"] == before + 1


@given(st.text(alphabet="htps:/[]@.-é%09az", max_size=30))
@settings(max_examples=300, deadline=None)
def test_what_channels_decides_is_decided_here_and_what_it_raises_on_is_refused(origin: str) -> None:
    from urllib.parse import urlparse

    allowed = ["https://chat.example.com", "http://a.z", ".az"]
    try:
        _ = urlparse(origin).port  # which upstream does not look at for patterns without a scheme
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
