"""`realtime-gateway trace`: what it is told, and what it says where something is missing."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.authority import server_context
from tests.support.free_port import free_port
from tests.support.tls_certificate import TlsCertificate
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from realtime_gateway.cli import trace
from realtime_gateway.errors import ConfigurationError, StartError
from realtime_gateway.local.run_file import NAME, RunFile
from realtime_gateway.telemetry.recent import RecentSpan


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    trace.add_arguments(parser)
    return parser.parse_args(words)


def test_a_url_is_asked_with_its_own_origin_and_the_admin_ports_that_are_named() -> None:
    given = ("https://chat.example/ws/?a=1", "--admin", "http://127.0.0.1:1/metrics", "--admin", "http://127.0.0.1:2")
    message, source = trace.plan(arguments(*given, "--header", "Cookie: a=b; c=d", "--header", "Cookie:e=f"))
    assert message.url == "wss://chat.example/ws/?a=1"
    assert message.origin == "https://chat.example"
    assert message.headers == (("Cookie", "a=b; c=d"), ("Cookie", "e=f"))
    assert message.traceparent.startswith(f"00-{message.trace_id}-")
    assert message.traceparent.endswith("-01")
    assert source.bases == ("http://127.0.0.1:1", "http://127.0.0.1:2")


def test_a_name_is_that_of_a_run_in_this_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / ".realtime-gateway" / "chat"
    directory.mkdir(parents=True)
    (directory / NAME).write_text(RunFile("http://127.0.0.1:8000/", "http://127.0.0.1:9/").to_json())
    for target in ("chat", str(directory)):
        message, source = trace.plan(arguments(target, "--path", "ws/chat/lobby/"))
        assert message.url == "ws://127.0.0.1:8000/ws/chat/lobby/"
        assert source.console == "http://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("ftp://x/", "--admin", "http://127.0.0.1:1"), ConfigurationError, "no URL of a WebSocket"),
        (("ws://[::1", "--admin", "http://127.0.0.1:1"), ConfigurationError, "no URL of a WebSocket"),
        (("ws://127.0.0.1:1/",), ConfigurationError, "Where are the spans"),
        (("ws://127.0.0.1:1/", "--admin", "127.0.0.1:1"), ConfigurationError, "no URL of an admin port"),
        (("nowhere",), StartError, "No `realtime-gateway up` runs"),
        (("ws://127.0.0.1:1/", "--admin", "http://127.0.0.1:1", "--header", "Cookie"), ConfigurationError, "no header"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_remedy(
    words: tuple[str, ...], error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said) as raised:
        trace.plan(arguments(*words))
    assert getattr(raised.value, "remedy", "")


def test_a_gateway_that_is_not_there_is_named() -> None:
    port = free_port()
    given = arguments(f"ws://127.0.0.1:{port}/", "--admin", f"http://127.0.0.1:{port}")
    with pytest.raises(StartError, match=f"Nobody answers at 127.0.0.1:{port}"):
        trace.run(given)


async def answering(pages: list[Any]) -> tuple[asyncio.Server, str]:
    """An admin port that says these pages, one after the other, the last one again and again."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = pages.pop(0) if len(pages) > 1 else pages[0]
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(page).encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("quiet_seconds", [0.0, 0.2])
async def test_spans_are_waited_for_until_the_message_has_come_and_no_more_come(
    monkeypatch: pytest.MonkeyPatch, quiet_seconds: float
) -> None:
    def page(*names: str) -> dict[str, Any]:
        shape = {"trace_id": "t", "parent_id": "", "kind": "", "end_ns": 2, "is_failed": False, "attributes": {}}
        spans = [{**shape, "span_id": name, "name": name, "start_ns": 1} for name in names]
        return {"process": "a", "keeps": True, "spans": spans}

    monkeypatch.setattr(trace, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(trace, "QUIET_SECONDS", quiet_seconds)
    handshake = page("GET")
    whole = page("GET", "websocket receive", "websocket send")
    first = page("GET", "websocket receive")
    server, base = await answering([page(), handshake, handshake, *([first] if quiet_seconds else []), whole])
    async with server:
        spans, pages = await trace._until_whole(trace.Source((base,)), "t", 20.0)
    assert len(spans) == 3
    assert pages


async def test_a_delivery_is_waited_for_until_all_who_got_it_have_handled_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(name: str, parent: str = "", **attributes: object) -> dict[str, Any]:
        return {
            **{"trace_id": "t", "span_id": name, "parent_id": parent, "name": name, "kind": "", "start_ns": 1},
            **{"end_ns": 2, "is_failed": False, "attributes": attributes},
        }

    def page(*spans: dict[str, Any]) -> dict[str, Any]:
        return {"process": None, "keeps": True, "spans": spans}

    monkeypatch.setattr(trace, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(trace, "QUIET_SECONDS", 0.0)
    early = [told("websocket receive"), told("deliver", **{"realtime_gateway.fan_out": 1})]
    handler = told("handler", "deliver", **{"code.function.name": "a"})
    server, base = await answering([page(*early)] * 5 + [page(*early, handler)])
    async with server:
        spans, _ = await trace._until_whole(trace.Source((base,)), "t", 20.0)
    assert [span.name for span in spans] == ["websocket receive", "deliver", "handler"]
    assert {span.process for span in spans} == {base.removeprefix("http://")}


@pytest.mark.parametrize(("members", "told"), [(2, "2"), (100, "up to 100")])
def test_who_has_not_handled_it_when_time_is_up_is_said(
    members: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def traced(*_: object) -> list[RecentSpan]:
        return [RecentSpan("t", "1", "", "deliver", "", 1, 2, attributes={"realtime_gateway.fan_out": members})]

    monkeypatch.setattr(trace, "trace", traced)
    trace.run(arguments("ws://127.0.0.1:1/", "--admin", "http://127.0.0.1:1", "--wait", "3"))
    said = f"Of those who got the message {told} have not been seen to handle it within 3 s.\n"
    assert capsys.readouterr().err == said


async def test_a_gateway_that_closes_at_once_is_told_with_its_code() -> None:
    async def close(socket: ServerConnection) -> None:
        await socket.close(4401)

    admin, base = await answering([{"process": "a", "keeps": True, "spans": []}])
    async with admin, serve(close, "127.0.0.1", 0, subprotocols=[Subprotocol("chat.v2")]) as gateway:
        url = f"ws://127.0.0.1:{gateway.sockets[0].getsockname()[1]}/"
        message, source = trace.plan(arguments(url, "--admin", base, "--subprotocol", "chat.v2"))
        with pytest.raises(StartError, match="4401"):
            await trace.trace(message, source, 1.0)


async def test_a_gateway_that_closes_for_the_message_is_told_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    closed = asyncio.Event()

    async def close(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.close(4400)
        closed.set()

    span = {"trace_id": "t", "span_id": "1", "parent_id": "", "name": "websocket receive", "kind": "", "start_ns": 1}
    page = {"process": "a", "keeps": True, "spans": [{**span, "end_ns": 2, "is_failed": False, "attributes": {}}]}
    admin, base = await answering([page])
    async with admin, serve(close, "127.0.0.1", 0) as gateway:
        url = f"ws://127.0.0.1:{gateway.sockets[0].getsockname()[1]}/"
        assert await trace.trace(*trace.plan(arguments(url, "--admin", base)), 5.0)
    assert closed.is_set()
    assert "closed the WebSocket with 4400" in capsys.readouterr().err


async def test_what_is_wrong_with_tls_is_said(tmp_path: Path) -> None:
    TlsCertificate(tmp_path)
    context = server_context(tmp_path)

    async def deaf(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def tried(port: int, *more: str) -> StartError:
        given = (f"wss://127.0.0.1:{port}/", "--admin", "http://127.0.0.1:1", *more)
        with pytest.raises(StartError) as caught:
            await trace.trace(*trace.plan(arguments(*given)), 0.01)
        return caught.value

    async with serve(deaf, "127.0.0.1", 0, ssl=context) as gateway, serve(deaf, "127.0.0.1", 0) as plain:
        port, plain_port = (one.sockets[0].getsockname()[1] for one in (gateway, plain))
        untrusted = await tried(port)
        assert "is not trusted here: " in untrusted.message
        assert "--cafile" in untrusted.remedy
        trusted = await tried(port, "--cafile", str(tmp_path / "ca.crt"))
        assert "The message was sent" in trusted.message
        without = await tried(plain_port)
        assert without.message.startswith(f"No TLS with 127.0.0.1:{plain_port}: ")
        assert not without.message.endswith(": .")
        assert "ws://" in without.remedy


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ("ws://127.0.0.1:8000/ws/", "--path", "/ws/other/", "--admin", "http://127.0.0.1:1"),
            "a URL has its own path",
        ),
        (("chat", "--admin", "http://127.0.0.1:1"), "--admin is for a URL"),
    ],
)
def test_what_would_not_be_heeded_is_refused(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?i){complaint}"):
        trace.plan(arguments(*words))
