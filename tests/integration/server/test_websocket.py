"""WebSockets over real sockets, with an independent client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from urllib.parse import quote

import pytest
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


async def closed(websocket) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:
        await asyncio.wait_for(websocket.recv(), 10)
    return caught.value.rcvd.code, caught.value.rcvd.reason


async def refused(url: str, **options):
    with pytest.raises(InvalidStatus) as caught:
        await connect(url, **options)
    return caught.value.response


async def test_text_and_bytes_come_back_as_they_were_sent(server: ServeProcess):
    async with connect(f"{server.websocket_url}/echo") as websocket:
        for message in ("hello", "", "Grüße 👋", b"\x00\xff", b"", "x" * 100_000):
            await websocket.send(message)
            assert await websocket.recv() == message


async def test_a_message_in_fragments_arrives_whole(server: ServeProcess):
    async with connect(f"{server.websocket_url}/echo") as websocket:
        await websocket.send(iter(["a", "b" * 70_000, "c"]))
        assert await websocket.recv() == "a" + "b" * 70_000 + "c"


async def test_messages_of_every_length_encoding_arrive_whole(server: ServeProcess):
    async with connect(f"{server.websocket_url}/sizes") as websocket:
        sizes = [len(await websocket.recv()) for _ in range(7)]
    assert sizes == [0, 1, 125, 126, 65535, 65536, 200_000]


async def test_empty_messages_are_sent_as_empty_frames_of_their_kind(server: ServeProcess):
    async with connect(f"{server.websocket_url}/empty") as websocket:
        assert await websocket.recv() == ""
        assert await websocket.recv() == b""


async def test_the_scope_is_complete(server: ServeProcess):
    url = f"{server.websocket_url}/scope?room=blue%20sky"
    async with connect(url, subprotocols=["v2", "v1"], additional_headers=[("X-A", "1"), ("X-A", "2")]) as websocket:
        scope = json.loads(await websocket.recv())
        client_port = websocket.local_address[1]
    headers = scope.pop("headers")
    assert [value for name, value in headers if name == "x-a"] == ["1", "2"]
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/scope",
        "raw_path": "/scope",
        "root_path": "",
        "query_string": "room=blue%20sky",
        "client": ["127.0.0.1", client_port],
        "server": ["127.0.0.1", server.port],
        "subprotocols": ["v2", "v1"],
        "extensions": {"websocket.http.response": {}, "realtime_gateway.outbox": "Outbox"},
    }


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 3000, 4401, 4999])
async def test_the_application_closes_with_any_code_that_may_be_sent(server: ServeProcess, code: int):
    async with connect(f"{server.websocket_url}/close?code={code}&reason=because") as websocket:
        assert await closed(websocket) == (code, "because")


async def test_a_close_without_a_code_is_1000(server: ServeProcess):
    async with connect(f"{server.websocket_url}/close") as websocket:
        assert await closed(websocket) == (1000, "")


async def test_a_long_reason_is_cut_at_a_character(server: ServeProcess):
    async with connect(f"{server.websocket_url}/close?code=4000&reason={'%C3%A4' * 100}") as websocket:
        assert await closed(websocket) == (4000, "ä" * 61)


@pytest.mark.parametrize("code", [999, 1005, 1006, 1015, 5000])
async def test_a_code_that_must_not_be_sent_is_the_applications_error(server: ServeProcess, code: int):
    async with connect(f"{server.websocket_url}/close?code={code}") as websocket:
        assert (await closed(websocket))[0] == 1011
    server.wait_for_output(f"close code {code} cannot be sent")


async def test_what_an_application_sends_after_its_close_is_dropped_in_silence(server: ServeProcess):
    async with connect(f"{server.websocket_url}/close-then-send") as websocket:
        assert await closed(websocket) == (4000, "")
    server.wait_for_output("disconnect 4000")
    server.wait_for_output("ended in order")


async def test_what_an_application_sends_before_its_close_arrives_before_it(server: ServeProcess):
    async with connect(f"{server.websocket_url}/last-words") as websocket:
        assert [await websocket.recv() for _ in range(3)] == ["0", "1", "2"]
        assert (await closed(websocket))[0] == 4000


async def test_the_application_hears_the_clients_code_and_reason(server: ServeProcess):
    async with connect(f"{server.websocket_url}/echo") as websocket:
        await websocket.close(4123, "enough for today")
    server.wait_for_output("disconnect 4123 enough for today")


async def test_a_client_that_vanishes_is_1006(server: ServeProcess):
    before = server.output.count("disconnect 1006")
    async with connect(f"{server.websocket_url}/echo") as websocket:
        websocket.transport.abort()
    server.wait_until(lambda: server.output.count("disconnect 1006") > before, "disconnected", 10)


async def test_a_rejected_handshake_is_403(server: ServeProcess):
    response = await refused(f"{server.websocket_url}/reject")
    assert response.status_code == 403


async def test_a_denial_response_is_the_applications_own(server: ServeProcess):
    response = await refused(f"{server.websocket_url}/deny")
    assert response.status_code == 451
    assert response.headers.get_all("x-why") == ["closed", "today"]
    assert json.loads(response.body) == {"come": "tomorrow"}


async def test_headers_of_accept_reach_the_client_and_repeat(server: ServeProcess):
    async with connect(f"{server.websocket_url}/headers") as websocket:
        headers = websocket.response.headers
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert headers["X-Pod"] == "chat-0"


async def test_the_chosen_subprotocol_is_answered(server: ServeProcess):
    async with connect(f"{server.websocket_url}/subprotocol?choose=v1", subprotocols=["v2", "v1"]) as websocket:
        assert websocket.subprotocol == "v1"


async def test_a_subprotocol_that_was_not_offered_is_the_applications_error(server: ServeProcess):
    response = await refused(f"{server.websocket_url}/subprotocol?choose=v3", subprotocols=["v2", "v1"])
    assert response.status_code == 500
    server.wait_for_output("the client has not offered the subprotocol 'v3'")


async def test_a_message_over_the_limit_ends_in_1009(applications):
    with ServeProcess(
        "conversations:application", "--websocket-max-message-size", "1000", directory=applications
    ) as it:
        async with connect(f"{it.websocket_url}/echo") as websocket:
            await websocket.send("x" * 1000)
            assert await websocket.recv() == "x" * 1000
            await websocket.send("x" * 1001)
            assert (await closed(websocket))[0] == 1009
        it.wait_for_output("disconnect 1009")
        assert it.metric('realtime_gateway_connections_closed_total{reason="too_big"}') == 1


async def test_an_application_that_fails_before_accepting_is_500(server: ServeProcess):
    assert (await refused(f"{server.websocket_url}/fail-before")).status_code == 500
    server.wait_for_output("RuntimeError: fails before accepting")


async def test_an_application_that_fails_after_accepting_is_1011(server: ServeProcess):
    async with connect(f"{server.websocket_url}/fail-after") as websocket:
        assert (await closed(websocket))[0] == 1011


async def test_an_application_that_returns_closes_its_socket(server: ServeProcess):
    async with connect(f"{server.websocket_url}/return-early") as websocket:
        assert (await closed(websocket))[0] == 1000


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ('{"type": "websocket.send"}', "needs text or bytes"),
        ('{"type": "websocket.send", "text": "a", "bytes": "b"}', "only one of them"),
        ('{"type": "websocket.send", "text": 5}', "text is int"),
        ('{"type": "websocket.accept"}', "websocket.accept on a WebSocket that is open"),
        ('{"kind": "websocket.send"}', "needs a type"),
    ],
)
async def test_a_malformed_message_is_the_applications_error(server: ServeProcess, message: str, complaint: str):
    async with connect(f"{server.websocket_url}/mistake?message={quote(message)}") as websocket:
        assert complaint in await websocket.recv()


async def test_an_application_that_does_not_answer_in_time_is_503(applications):
    with ServeProcess("conversations:application", "--websocket-connect-timeout", "1", directory=applications) as it:
        response = await refused(f"{it.websocket_url}/late")
        assert response.status_code == 503
        it.wait_for_output("late saw websocket.disconnect")
        assert it.metric('realtime_gateway_handshakes_total{result="timeout"}') == 1


async def test_a_client_that_leaves_during_the_handshake_is_noticed(server: ServeProcess):
    before = server.output.count("late saw websocket.disconnect")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(handshake_request("/late"))
        server.wait_until(lambda: server.output.count("late saw websocket.connect") > 0, "asked", 10)
    server.wait_until(
        lambda: server.output.count("late saw websocket.disconnect") > before, "told of the disconnect", 10
    )


async def test_frames_sent_with_the_handshake_are_not_lost(server: ServeProcess):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(handshake_request("/echo") + masked_text(b"early") + masked_text(b"bird"))
        received = b""
        while not received.endswith(b"\x81\x05early\x81\x04bird"):
            received += client.recv(4096)
    assert received.startswith(b"HTTP/1.1 101 ")


async def test_frames_sent_before_the_application_has_answered_wait_for_it(server: ServeProcess, tmp_path):
    gate = tmp_path / "gate"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(handshake_request(f"/slow-accept?until={gate}"))
        server.wait_for_output("asked")
        client.sendall(masked_text(b"patient"))
        gate.touch()
        received = b""
        while not received.endswith(b"\x81\x07patient"):
            received += client.recv(4096)
    assert received.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"GET ", b"POST "), 405),
        ((b"HTTP/1.1", b"HTTP/1.0"), 505),
        ((b"Sec-WebSocket-Version: 13\r\n", b""), 426),
        ((b"Version: 13", b"Version: 12"), 426),
        ((b"Connection: Upgrade\r\n", b"Connection: close\r\n"), 400),
        ((b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400),
        ((b"dGhlIHNhbXBsZSBub25jZQ==", b"short=="), 400),
        ((b"Host: x\r\n", b""), 400),
    ],
)
async def test_a_malformed_handshake_is_refused_with_a_reason(server: ServeProcess, change, status: int):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(handshake_request("/echo").replace(*change))
        answer = read_to_end(client)
    assert answer.split()[1] == str(status).encode(), answer


async def test_a_client_that_sends_faster_than_its_consumer_reads_is_slowed_down(server: ServeProcess, tmp_path):
    gate = tmp_path / "gate"
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    with client:
        client.sendall(handshake_request(f"/busy?until={gate}"))
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        client.setblocking(False)
        frame = masked_text(b"x" * 10_000)
        pending, frames, sent_bytes = b"", 0, 0
        idle = 0
        while idle < 20:  # the kernel's buffers are full when nothing more is taken for a while
            if not pending:
                pending, frames = frame, frames + 1
            try:
                count = client.send(pending)
            except BlockingIOError:
                idle += 1
                await asyncio.sleep(0.02)
                continue
            idle, pending, sent_bytes = 0, pending[count:], sent_bytes + count
            assert sent_bytes < 64 * 1024 * 1024, "nothing slows the client down"
        gate.touch()
        client.setblocking(True)
        await asyncio.to_thread(client.sendall, pending + masked_text(b"how many?"))
        answer = str(frames + 1).encode()
        received = b""
        while not received.endswith(answer):
            received += await asyncio.to_thread(client.recv, 4096)


async def test_an_application_that_sends_faster_than_its_client_reads_is_slowed_down(server: ServeProcess):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(handshake_request("/flood?count=2000"))
        server.wait_for_output("sent 1\n")
        sent = await settled(lambda: server.output.count("\nsent "))
        assert sent < 500, "nothing slows the application down"


def test_a_client_that_leaves_amid_its_denial_was_never_open(applications):
    with ServeProcess("conversations:application", directory=applications) as it:
        with socket.create_connection(("127.0.0.1", it.port), timeout=30) as client:
            client.sendall(handshake_request("/deny-in-pieces?count=2000"))
            assert client.recv(4096).startswith(b"HTTP/1.1 403 ")
        it.wait_for_output("disconnect 1006")
        assert it.metric('realtime_gateway_handshakes_total{result="rejected"}') == 1
        assert it.metric('realtime_gateway_handshakes_total{result="abandoned"}') == 0
        assert it.metric('realtime_gateway_connections_closed_total{reason="lost"}') == 0


async def test_connections_messages_and_ends_are_counted(applications):
    with ServeProcess("conversations:application", directory=applications) as it:
        async with connect(f"{it.websocket_url}/echo") as websocket:
            await websocket.send("one")
            await websocket.recv()
            assert it.metric('realtime_gateway_connections{protocol="websocket"}') == 1
            assert it.health()["connections"]["websocket"] == 1
        await refused(f"{it.websocket_url}/reject")
        gone = 'realtime_gateway_connections{protocol="websocket"}'
        it.wait_until(lambda: it.metric(gone) == 0, "without connections", 10)
        assert it.metric("realtime_gateway_messages_received_total") == 1
        assert it.metric("realtime_gateway_messages_sent_total") == 1
        assert it.metric('realtime_gateway_handshakes_total{result="accepted"}') == 1
        assert it.metric('realtime_gateway_handshakes_total{result="rejected"}') == 1
        assert it.metric('realtime_gateway_connections_closed_total{reason="normal"}') == 1


def handshake_request(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def masked_text(payload: bytes) -> bytes:
    """One whole text frame, masked with zeros."""
    if len(payload) < 126:
        return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload
    return bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def read_to_end(client: socket.socket) -> bytes:
    """Return everything until the server closes, in whichever way."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(1 << 20):
            received += piece
    return bytes(received)


async def settled(measure: Callable[[], int]) -> int:
    """Return what is measured once it has stayed the same for a while."""
    before = -1
    for _ in range(100):
        now = measure()
        if now == before:
            return now
        before = now
        await asyncio.sleep(0.3)
    raise AssertionError(f"still growing: {before}")


async def test_a_connection_that_reaches_its_maximum_age_is_told_to_come_again(applications):
    with ServeProcess("conversations:application", "--websocket-timeout", "1", directory=applications) as it:
        async with connect(f"{it.websocket_url}/echo") as websocket:
            assert await closed(websocket) == (1012, "connection reached its maximum age; reconnect")
        assert it.metric('realtime_gateway_connections_closed_total{reason="too_old"}') == 1


async def test_connections_beyond_the_limit_are_refused_with_503(applications, tmp_path):
    resource = tmp_path / "gateway.json"
    spec = {"application": "conversations:application", "websocket": {"maxConnections": 2}}
    described = {"apiVersion": "realtime-gateway.io/v1alpha1", "kind": "RealtimeGateway", "metadata": {"name": "chat"}}
    resource.write_text(json.dumps({**described, "spec": spec}))
    environment = {"REALTIME_GATEWAY_RESOURCE": str(resource)}
    with ServeProcess("conversations:application", directory=applications, environment=environment) as it:
        async with connect(f"{it.websocket_url}/echo"), connect(f"{it.websocket_url}/echo") as second:
            response = await refused(f"{it.websocket_url}/echo")
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "1"
            await second.close()
            async with connect(f"{it.websocket_url}/echo"):
                pass
        assert it.metric('realtime_gateway_handshakes_total{result="overloaded"}') == 1


async def test_compression_that_a_client_offers_is_declined_and_it_goes_on_without(server):
    async with connect(f"{server.websocket_url}/echo", compression="deflate") as websocket:
        assert "Sec-WebSocket-Extensions" not in websocket.response.headers
        await websocket.send("plain" * 100)
        assert await websocket.recv() == "plain" * 100
