import pytest

from realtime_gateway.server.handshake import Upgrade
from realtime_gateway.server.upgrade_request import MOST_HEADERS, read

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
LINES = [
    b"Host: chat.example.com",
    b"Upgrade: websocket",
    b"Connection: keep-alive, Upgrade",
    b"Sec-WebSocket-Key: " + KEY,
    b"Sec-WebSocket-Version: 13",
]
MOST_BYTES = 4000


def request(first=b"GET /a%20b?c=d?e HTTP/1.1", lines=LINES, more=(), end=b"\r\n\r\n"):
    return b"\r\n".join([first, *lines, *more]) + end


def test_an_ordinary_request_is_read_in_full():
    found = read(request(more=[b"X-A:\t b c \t", b"SEC-WebSocket-Protocol: v2, v1"]) + b"\x81\x80mask", MOST_BYTES)
    assert (found.path, found.query_string) == (b"/a%20b", b"c=d?e")
    assert found.headers[-2:] == [(b"x-a", b"b c"), (b"sec-websocket-protocol", b"v2, v1")]
    assert [name for name, _ in found.headers[:2]] == [b"host", b"upgrade"], "in the order in which they came"
    assert found.upgrade == Upgrade(KEY.decode(), 13, ("v2", "v1"))


def test_what_follows_the_head_is_not_a_part_of_it():
    whole = request()
    assert read(whole + b"GET / HTTP/1.1\r\n\r\n", MOST_BYTES).size_bytes == len(whole)


@pytest.mark.parametrize("size", range(len(request())))
def test_a_head_that_is_not_whole_is_not_read(size):
    assert read(request()[:size], MOST_BYTES) is None


def test_a_head_of_the_longest_size_is_read_and_a_longer_one_is_not():
    whole = request()
    assert read(whole, len(whole)) is not None
    assert read(whole, len(whole) - 1) is None
    assert read(whole, 0) is None


def test_no_more_headers_are_read_than_the_channel_takes():
    more = [b"X%d: 1" % number for number in range(MOST_HEADERS - len(LINES))]
    assert read(request(more=more), MOST_BYTES) is not None
    assert read(request(more=[*more, b"Y: 1"]), MOST_BYTES) is None


@pytest.mark.parametrize(
    "first",
    [
        *(b"GET / HTTP/1.0", b"GET / HTTP/1.10", b"POST / HTTP/1.1", b"get / HTTP/1.1", b"GET  / HTTP/1.1", b"GET /"),
        *(b"GET http://x/ HTTP/1.1", b"GET * HTTP/1.1", b"GET /a b HTTP/1.1", b"GET /\xc3\xa9 HTTP/1.1", b""),
        *(b"GET / HTTP/1.1\nX: 1", b"\r\nGET / HTTP/1.1", b" GET / HTTP/1.1", b"GET /\0 HTTP/1.1", b"GET / HTTP/1.1 "),
    ],
)
def test_another_first_line_is_not_read(first):
    assert read(request(first), MOST_BYTES) is None


@pytest.mark.parametrize(
    "line",
    [
        *(b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Daphne-Root-Path: /x"),
        *(
            b"Host: other",
            b"upgrade: websocket",
            b"SEC-WEBSOCKET-KEY: " + KEY,
            b"X: 1\r\nx: 1",
            b" folded",
            b"\tfolded",
        ),
        *(b"X: a\nY: b", b"X: a\rb", b"X: \0", b"X: \x0b", b"X: \x85", b"X: \x7f", b"X: \x1b", b"X_Y: 1", b"X Y: 1"),
        *(b": 1", b"X", b"X : 1", b"\xe9: 1", b"x" * 257 + b": 1", b"Upgrade : websocket"),
    ],
)
@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_request_with_an_odd_line_is_not_read(line, place):
    assert read(request(lines=[*LINES[:place], line, *LINES[place:]], end=b"\r\n\r\n"), MOST_BYTES) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((b"Upgrade", b"h2c"), (b"Upgrade", b"websocket, h2c"), (b"Connection", b"keep-alive"), (b"Upgrade", b"")),
        *((b"Sec-WebSocket-Version", b"12"), (b"Sec-WebSocket-Key", b"c2hvcnQ=")),
    ],
)
def test_a_request_that_cannot_become_a_websocket_is_not_read(name, value):
    lines = [line for line in LINES if not line.startswith(name)]
    assert read(request(lines=[*lines, name + b": " + value]), MOST_BYTES) is None


@pytest.mark.parametrize("index", range(len(LINES)))
def test_a_request_that_lacks_a_line_is_not_read(index):
    assert read(request(lines=[*LINES[:index], *LINES[index + 1 :]]), MOST_BYTES) is None


def test_the_time_for_a_head_that_does_not_match_grows_no_faster_than_it():
    """A hundred thousand bytes that come close are refused at once; of a pattern that goes back it would be hours."""
    close = request(more=[b"x" * 250 + b":" + b" \t" * 2000] * 24, end=b"\r\n\n")
    assert read(close, 2 * len(close)) is None
