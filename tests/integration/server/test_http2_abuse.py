"""What a client of HTTP/2 can cost with small frames, odd requests and frames that bring nothing."""

# ruff: noqa: F811  (fixtures that are imported)
from __future__ import annotations

import struct

import h2.errors
import h2.events
from tests.integration.server.test_http2 import (  # noqa: F401  (fixtures)
    INBOX_BYTES,
    MIB,
    GoAway,
    certificate,
    converse,
    start,
)

PIECES, PIECE_BYTES = 3000, 18  # less than is kept of a response before its application waits
STREAMS = 20
DATA, PRIORITY = 0, 2  # RFC 9113 section 6
CALM = h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


def frame(kind: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + payload


def priorities(first: int, count: int) -> bytes:
    return b"".join(frame(PRIORITY, first + 2 * n, struct.pack("!IB", 0, 15)) for n in range(count))


def test_small_pieces_of_responses_share_frames_and_a_frame_costs_its_own_response_only(start, converse):
    server = start(application="observed:application")
    it, neighbour = converse(server, INITIAL_WINDOW_SIZE=0), converse(server)
    streams = [it.ask("GET", f"/small-pieces?count={PIECES}") for _ in range(STREAMS)]
    for stream in streams:
        it.until(h2.events.ResponseReceived, stream)
    before = int(neighbour.answer(neighbour.ask("GET", "/counts"))[1].split()[1])
    it.protocol.increment_flow_control_window(2 * STREAMS * PIECES * PIECE_BYTES)
    it.set(INITIAL_WINDOW_SIZE=2 * PIECES * PIECE_BYTES)
    for stream in streams:
        it.until(h2.events.StreamEnded, stream)
        assert sum(map(len, it.bodies[stream])) == PIECES * PIECE_BYTES
        assert len(it.bodies[stream]) < 10
    after = int(neighbour.answer(neighbour.ask("GET", "/counts"))[1].split()[1])
    assert after - before < 10 * STREAMS


def test_a_closed_window_does_not_keep_the_loop_turning_and_settings_open_it(start, converse):
    server = start(application="observed:application")
    it, neighbour = converse(server, INITIAL_WINDOW_SIZE=10), converse(server)
    stream = it.ask("GET", f"/small-pieces?count={PIECES}")
    for _ in range(100):
        neighbour.answer(neighbour.ask("GET", "/"))
    turns = int(neighbour.answer(neighbour.ask("GET", "/counts"))[1].split()[0])
    assert turns < 1000
    it.set(INITIAL_WINDOW_SIZE=2 * PIECES * PIECE_BYTES)
    assert len(it.answer(stream)[1]) == PIECES * PIECE_BYTES


def test_small_frames_of_a_body_that_waits_take_no_more_memory_than_they_bring(start, converse, tmp_path):
    server, gate, count = start(), tmp_path / "gate", 20_000
    it = converse(server)
    stream = it.ask("POST", f"/gated-body?until={gate}", end=False)
    it.pour(stream, INBOX_BYTES)
    it.answer(it.ask("GET", "/"))
    assert it.protocol.local_flow_control_window(stream) > count
    before = server.process.resident_bytes()
    for _ in range(10):
        it.socket.sendall(b"".join(frame(DATA, stream, b"%d" % (n % 10)) for n in range(count // 10)))
        it.answer(it.ask("GET", "/"))
    risen = server.process.resident_bytes() - before
    assert risen < MIB, f"{risen / MIB:.1f} MiB"
    gate.touch()
    it.protocol.end_stream(stream)
    it.send()
    assert it.answer(stream) == (200, str(INBOX_BYTES + count).encode())


def test_a_flood_of_empty_frames_of_a_body_ends_the_connection(start, converse):
    server = start()
    it = converse(server)
    stream = it.ask("POST", "/body", end=False)
    it.socket.sendall(frame(DATA, stream) * 5000)
    assert it.until(GoAway).code == CALM
    server.process.wait_for_output("Limit HTTP/2 frames that bring nothing met by 127.0.0.1")
    it.await_the_end()


def test_priorities_are_not_kept_and_a_flood_of_them_ends_the_connection(start, converse):
    server = start()
    it = converse(server)
    it.socket.sendall(priorities(1001, 900))
    assert it.answer(it.ask("GET", "/")) == (200, b"hello")
    it.socket.sendall(priorities(3001, 5000))
    assert it.until(GoAway).code == CALM
    assert "Traceback" not in server.process.output


HTTPS = ((b":scheme", b"https"), (b":authority", b"x"))


ODD_HEADS = {
    "CONNECT": [(b":method", b"CONNECT"), (b":authority", b"x")],
    "CONNECT with :protocol": [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":path", b"/"), *HTTPS],
    "method": [(b":method", "GÄT".encode()), (b":path", b"/"), *HTTPS],
    "path": [(b":method", b"GET"), (b":path", b"no-slash"), *HTTPS],
    "letters of the path": [(b":method", b"GET"), (b":path", "/ä".encode()), *HTTPS],
}


def test_an_odd_request_is_refused_and_its_connection_goes_on(start, converse):
    server = start()
    it = converse(server)
    it.protocol.config.validate_outbound_headers = it.protocol.config.normalize_outbound_headers = False
    for name, head in ODD_HEADS.items():
        stream = it.protocol.get_next_available_stream_id()
        it.protocol.send_headers(stream, head, end_stream=True)
        it.send()
        assert it.answer(stream)[0] == 400, name
    assert it.answer(it.ask("GET", "/")) == (200, b"hello")
    assert "Traceback" not in server.process.output


def test_a_long_name_of_a_header_is_not_kept_and_its_connection_goes_on(start, converse):
    it = converse(start())
    stream = it.ask("GET", "/", ("x" * 257, "1"))
    assert it.until(h2.events.StreamReset, stream).error_code == h2.errors.ErrorCodes.PROTOCOL_ERROR
    assert it.answer(it.ask("GET", "/", ("x" * 256, "1"))) == (200, b"hello")


def test_a_mistake_of_the_server_ends_one_connection_with_one_line_in_the_log(start, converse):
    server = start(application="observed:application")
    it, neighbour = converse(server), converse(server)
    stream = it.ask("GET", "/wait-for-disconnect")
    server.process.wait_for_output("waiting")
    it.protocol.reset_stream(stream, 99)
    it.send()
    assert it.until(GoAway).code == h2.errors.ErrorCodes.INTERNAL_ERROR
    server.process.wait_for_output("Limit HTTP/2 frames met by 127.0.0.1: closed with INTERNAL_ERROR (LookupError)")
    server.process.wait_for_output("http saw http.disconnect")
    it.await_the_end()
    assert neighbour.answer(neighbour.ask("GET", "/")) == (200, b"hello")
    assert "Traceback" not in server.process.output


def test_requests_that_are_taken_back_end_the_connection_and_the_log_says_so(start, converse):
    server = start(application="observed:application")
    it = converse(server)
    for _ in range(25):
        for _ in range(100):
            stream = it.protocol.get_next_available_stream_id()
            head = [(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "x")]
            it.protocol.send_headers(stream, head, end_stream=True)
            it.protocol.reset_stream(stream)
        try:
            it.send()
        except OSError:  # it has ended meanwhile
            break
    server.process.wait_for_output("Limit HTTP/2 resets met by 127.0.0.1: closed with ENHANCE_YOUR_CALM")
