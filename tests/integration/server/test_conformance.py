"""RFC 6455, frame by frame, over real sockets; the ordinary ways also with two clients that share no code."""

from __future__ import annotations

import socket

import pytest
from tests.support.frames import RawClient, client_frame
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Message, Ping, Pong, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
FIRST_TEXT, FIRST_BINARY, MIDDLE, LAST = 0x01, 0x02, 0x00, 0x80

VIOLATIONS = {
    "an unmasked frame": (1002, [client_frame(TEXT, b"hello", mask=None)]),
    "a reserved bit without an extension": (1002, [client_frame(0xC1, b"hello")]),
    "the second reserved bit": (1002, [client_frame(0xA1, b"hello")]),
    "the third reserved bit": (1002, [client_frame(0x91, b"hello")]),
    "a reserved data opcode": (1002, [client_frame(0x83, b"hello")]),
    "a reserved control opcode": (1002, [client_frame(0x8B, b"")]),
    "a ping in fragments": (1002, [client_frame(0x09, b"")]),
    "a ping of 126 bytes": (1002, [client_frame(PING, b"x" * 126)]),
    "a continuation of nothing": (1002, [client_frame(LAST, b"hello")]),
    "a new message inside another": (1002, [client_frame(FIRST_TEXT, b"a"), client_frame(TEXT, b"b")]),
    "a length of 16 bits that fits into 7": (1002, [client_frame(TEXT, b"hello", length=b"\xfe\x00\x05")]),
    "a length of 64 bits that fits into 16": (
        1002,
        [client_frame(TEXT, b"hello", length=b"\xff" + b"\0" * 7 + b"\x05")],
    ),
    "a length of 2 to the 63": (1002, [client_frame(TEXT, b"", length=b"\xff\xff" + b"\xff" * 7)]),
    "a close frame of one byte": (1002, [client_frame(CLOSE, b"\x03")]),
    "text that is no UTF-8": (1007, [client_frame(TEXT, b"\xff")]),
    "text that ends within a character": (1007, [client_frame(TEXT, "ä".encode()[:1])]),
    "a surrogate": (1007, [client_frame(TEXT, b"\xed\xa0\x80")]),
    "fragments that are no UTF-8 together": (1007, [client_frame(FIRST_TEXT, b"\xc3"), client_frame(LAST, b"a")]),
    "a first fragment that is no UTF-8, long before the last": (1007, [client_frame(FIRST_TEXT, b"a\xff")]),
    "a close reason that is no UTF-8": (1007, [client_frame(CLOSE, b"\x03\xe8\xff")]),
    "a message over the limit": (1009, [client_frame(TEXT, b"x" * (1024 * 1024 + 1))]),
    "a message over the limit, by its length alone": (
        1009,
        [client_frame(TEXT, b"", length=b"\xff" + b"\0" * 3 + b"\x01\0\0\0\0")],
    ),
    "fragments over the limit together": (
        1009,
        [client_frame(FIRST_TEXT, b"x" * 600_000), client_frame(LAST, b"x" * 600_000)],
    ),
    **{
        f"close code {code}": (1002, [client_frame(CLOSE, code.to_bytes(2, "big"))])
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)
    },
}


@pytest.mark.parametrize("sentence", VIOLATIONS)
def test_a_client_that_breaks_the_protocol_is_told_how_and_its_messages_before_count(
    server: ServeProcess, sentence: str
):
    code, frames = VIOLATIONS[sentence]
    with RawClient(server.port, "/echo") as client:
        client.send(client_frame(TEXT, b"before"))
        assert client.frame() == (TEXT, b"before")
        client.send(*frames, client_frame(TEXT, b"after"))
        assert client.close_code() == code


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
)
def test_every_code_that_a_client_may_send_is_heard_and_echoed(server: ServeProcess, code: int):
    reason = f"conformance {code}"
    with RawClient(server.port, "/echo") as client:
        client.send(client_frame(CLOSE, code.to_bytes(2, "big") + reason.encode()))
        assert client.frame() == (CLOSE, code.to_bytes(2, "big"))
        assert client.at_end()
    server.wait_for_output(f"disconnect {code} {reason}\n")


def test_a_close_without_a_code_is_echoed_without_one_and_is_1005(server: ServeProcess):
    before = server.output.count("disconnect 1005")
    with RawClient(server.port, "/echo") as client:
        client.send(client_frame(CLOSE))
        assert client.frame() == (CLOSE, b"")
        assert client.at_end()
    server.wait_until(lambda: server.output.count("disconnect 1005") > before, "told", 10)


def test_control_frames_between_fragments_are_answered_at_once(server: ServeProcess):
    with RawClient(server.port, "/echo") as client:
        client.send(client_frame(FIRST_TEXT, b"a"), client_frame(PING, b"1"))
        assert client.frame() == (PONG, b"1")
        client.send(client_frame(MIDDLE, b"b"), client_frame(PONG, b"unasked"), client_frame(PING, b"x" * 125))
        assert client.frame() == (PONG, b"x" * 125)
        client.send(client_frame(LAST, b"c"))
        assert client.frame() == (TEXT, b"abc")


def test_a_close_between_fragments_ends_the_connection(server: ServeProcess):
    with RawClient(server.port, "/echo") as client:
        client.send(client_frame(FIRST_TEXT, b"a"), client_frame(CLOSE, b"\x03\xe8"))
        assert client.frame() == (CLOSE, b"\x03\xe8")
        assert client.at_end()


@pytest.mark.parametrize(
    "pieces", [[b""], [b"", b""], [b"", b"a", b""], [b"\xc3", b"\xa4"], [b"x" * 70_000, b"", b"y"]]
)
def test_fragments_of_any_kind_are_one_message(server: ServeProcess, pieces: list[bytes]):
    heads = [FIRST_TEXT, *[MIDDLE] * (len(pieces) - 1)]
    heads[-1] |= 0x80
    with RawClient(server.port, "/echo") as client:
        client.send(*(client_frame(head, piece) for head, piece in zip(heads, pieces, strict=True)))
        assert client.frame() == (TEXT, b"".join(pieces))


def test_every_mask_is_taken_off_and_a_frame_may_come_byte_by_byte(server: ServeProcess):
    with RawClient(server.port, "/echo") as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"abcd"):
            for size in (0, 1, 3, 125, 126, 2049, 65_536):
                client.send(client_frame(BINARY, b"\x5a" * size, mask=mask))
                assert client.frame() == (BINARY, b"\x5a" * size)
        for byte in client_frame(TEXT, "Grüße".encode()):
            client.send(bytes([byte]))
        assert client.frame() == (TEXT, "Grüße".encode())


def test_nothing_follows_the_servers_close_frame(server: ServeProcess):
    with RawClient(server.port, "/close-then-send") as client:
        assert client.close_code() == 4000


# The same with a whole client.


class WsprotoClient:
    """A client on wsproto, which shares no code with the server or with websockets."""

    def __init__(self, port: int, path: str, **request) -> None:
        self.connection = WSConnection(ConnectionType.CLIENT)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.send(Request(host="x", target=path, **request))
        self.events: list = []
        self.accepted = self.next()

    def send(self, event) -> None:
        self.socket.sendall(self.connection.send(event))

    def next(self):
        while not self.events:
            data = self.socket.recv(65536)
            self.connection.receive_data(data or None)
            self.events.extend(self.connection.events())
        return self.events.pop(0)

    def message(self):
        parts = [self.next()]
        while not parts[-1].message_finished:
            parts.append(self.next())
        return type(parts[0].data)().join(part.data for part in parts)

    def __enter__(self):
        return self

    def __exit__(self, *problem) -> None:
        self.socket.close()


MESSAGES: list[str | bytes] = ["", "hello", "Grüße 👋" * 400, b"", b"\x00\xff", b"\x5a" * 100_000, "x" * 70_000]


def wsproto_message(content: str | bytes) -> Message:
    return TextMessage(data=content) if isinstance(content, str) else BytesMessage(data=content)


@pytest.mark.parametrize("extensions", [[], [PerMessageDeflate()]], ids=["plain", "offering deflate"])
def test_wsproto_talks_with_the_server(server: ServeProcess, extensions):
    with WsprotoClient(server.port, "/echo", extensions=extensions) as client:
        assert isinstance(client.accepted, AcceptConnection)
        for content in MESSAGES:
            client.send(wsproto_message(content))
            assert client.message() == content
        client.send(Ping(payload=b"there?"))
        assert client.next() == Pong(payload=b"there?")
        client.send(CloseConnection(code=4321, reason="done"))
        answer = client.next()
        assert isinstance(answer, CloseConnection)
        assert answer.code == 4321
    server.wait_for_output("disconnect 4321 done")


def test_wsproto_reads_reason_subprotocol_and_headers(server: ServeProcess):
    with WsprotoClient(server.port, "/close?code=4400&reason=because") as client:
        ending = client.next()
        assert (ending.code, ending.reason) == (4400, "because")
    with WsprotoClient(server.port, "/subprotocol?choose=v1", subprotocols=["v2", "v1"]) as client:
        assert client.accepted.subprotocol == "v1"
    with WsprotoClient(server.port, "/headers") as client:
        assert [value for name, value in client.accepted.extra_headers if name == b"set-cookie"] == [b"a=1", b"b=2"]


def test_wsproto_reads_a_denial(server: ServeProcess):
    with WsprotoClient(server.port, "/deny") as client:
        assert client.accepted.status_code == 451
        body = client.next()
        while not body.body_finished:
            body = client.next()


async def test_websockets_talks_with_the_server(server: ServeProcess):
    async with connect(f"{server.websocket_url}/echo", max_size=None) as client:
        for content in MESSAGES:
            await client.send(content)
            assert await client.recv() == content
        await (await client.ping(b"there?"))
