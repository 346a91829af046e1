from __future__ import annotations

from realtime_gateway.server.common_headers import CommonHeaders


def lines(number: int) -> list[tuple[bytes, bytes]]:
    """Return the head of one client; each call makes all of its bytes anew."""
    text = f"host: example.com|user-agent: Some Browser/1.0|cookie: sessionid={number}|x-own-{number}: 1"
    return [(name.encode(), value.encode()) for name, value in (line.split(": ") for line in text.split("|"))]


def test_clients_get_what_they_sent_in_their_order():
    headers = CommonHeaders()
    for number in (1, 2, 1):
        assert headers.shared(lines(number)) == lines(number)


def test_what_clients_send_alike_is_kept_once_and_of_what_names_them_nothing():
    headers = CommonHeaders()
    first, second = headers.shared(lines(1)), headers.shared(lines(1))
    assert [one is other for one, other in zip(first, second, strict=True)] == [True, True, False, False]
    assert first[2][0] is second[2][0], "the name of a field that everybody knows"
    assert {name for name, _ in headers._lines} == {b"host", b"user-agent"}


def test_clients_that_all_send_something_else_do_not_fill_the_memory():
    headers = CommonHeaders()
    for number in range(CommonHeaders.MOST * 3):
        line = (b"user-agent", b"%d" % number)
        assert headers.shared([line]) == [line]
        assert len(headers._lines) <= CommonHeaders.MOST
    long = (b"user-agent", b"x" * (CommonHeaders.LONGEST_BYTES + 1))
    assert headers.shared([long]) == [long]
    assert long not in headers._lines


def test_a_line_is_read_as_it_was_sent_each_time():
    headers = CommonHeaders()
    for _ in range(2):
        assert headers.read(b"User-AGENT:\t Some  Browser \t") == (b"user-agent", b"Some  Browser")
        assert headers.read(b"COOKIE: sessionid=1") == (b"cookie", b"sessionid=1")
        assert headers.read(b"X-Own:a:b") == (b"x-own", b"a:b")
        assert headers.read(b"Sec-WebSocket-Protocol: a-token") == (b"sec-websocket-protocol", b"a-token")
    assert headers.read(b"user-agent: a") is headers.read(b"user-agent: a")
    assert [name for name, _ in headers.known.values()] == [b"user-agent", b"user-agent"], (
        "of what names a client, none"
    )


def test_lines_that_are_all_written_differently_do_not_fill_the_memory():
    headers = CommonHeaders()
    for number in range(CommonHeaders.MOST * 3):
        headers.read(b"user-agent: %d" % number)
        assert len(headers.known) <= CommonHeaders.MOST
    long = b"user-agent: " + b"x" * CommonHeaders.LONGEST_BYTES
    headers.read(long)
    assert long not in headers.known
