import pytest

from realtime_gateway.server.handshake import (
    Refusal,
    Upgrade,
    examine,
    ordinary,
    response_head,
    short_response,
    wants_websocket,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    b"host": b"chat.example.com",
    b"upgrade": b"websocket",
    b"connection": b"keep-alive, Upgrade",
    b"sec-websocket-key": KEY,
    b"sec-websocket-version": b"13",
}


def verdict(method=b"GET", http_version="1.1", more=(), **changes):
    headers = {**GOOD, **{name.replace("_", "-").encode(): value for name, value in changes.items()}}
    listed = [(name, value) for name, value in headers.items() if value is not None]
    return examine(method, http_version, [*listed, *more])


def test_a_request_by_the_book_may_upgrade():
    assert verdict() == Upgrade(KEY.decode(), 13, ())


@pytest.mark.parametrize(
    ("name", "value", "is_ordinary"),
    [
        ("connection", b"Upgrade", True),
        ("connection", b"upgrade", True),
        ("connection", b"keep-alive, upgrade, x", False),
        ("connection", b"keep-alive", False),
        ("connection", None, False),
        ("host", None, False),
        ("host", b"", True),
        ("sec-websocket-key", b"c2hvcnQ=", False),
        ("sec-websocket-key", None, False),
        ("sec-websocket-version", b"8", False),
        ("sec-websocket-version", None, False),
        ("sec-websocket-protocol", b"v1, v2", False),
        ("sec-websocket-extensions", b"permessage-deflate; client_max_window_bits", True),
        ("cookie", b"sessionid=1", True),
    ],
)
def test_what_is_ordinary_means_what_the_whole_examination_says(name, value, is_ordinary):
    asked = {header: one for header, one in {**GOOD, name.encode(): value}.items() if one is not None}
    found = ordinary(asked)
    assert (found is not None) is is_ordinary
    assert found in (None, examine(b"GET", "1.1", list(asked.items())))


def test_subprotocols_of_several_headers_are_one_list():
    more = [
        (b"sec-websocket-protocol", b"v2, v1"),
        (b"sec-websocket-protocol", b"v0"),
    ]
    assert verdict(more=more).subprotocols == ("v2", "v1", "v0")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"method": b"POST"}, 405),
        ({"http_version": "1.0"}, 505),
        ({"http_version": "2"}, 505),
        ({"host": None}, 400),
        ({"more": [(b"host", b"other.example.com")]}, 400),
        ({"connection": b"keep-alive"}, 400),
        ({"connection": None}, 400),
        ({"sec_websocket_version": None}, 426),
        ({"sec_websocket_version": b"12"}, 426),
        ({"more": [(b"sec-websocket-version", b"13")]}, 426),
        ({"sec_websocket_key": None}, 400),
        ({"sec_websocket_key": b"c2hvcnQ="}, 400),
        ({"sec_websocket_key": b"not base64 at all, but"}, 400),
        ({"more": [(b"sec-websocket-key", KEY)]}, 400),
        ({"sec_websocket_protocol": b"v1, v1"}, 400),
        ({"sec_websocket_protocol": b"\xff"}, 400),
    ],
)
def test_a_request_against_the_book_is_refused(changes, status: int):
    refusal = verdict(**changes)
    assert isinstance(refusal, Refusal)
    assert refusal.status == status


def test_a_refused_version_says_which_are_spoken():
    assert verdict(sec_websocket_version=b"99").headers == ((b"sec-websocket-version", b"13, 8"),)


@pytest.mark.parametrize(
    ("values", "wants"),
    [(None, False), ([b"websocket"], True), ([b"WebSocket"], True), ([b"h2c, websocket"], True), ([b"h2c"], False)],
)
def test_the_upgrade_header_is_a_list_in_any_case(values, wants: bool):
    assert wants_websocket(values) is wants


def test_a_response_names_the_server_unless_the_application_does():
    assert b"server: daphne\r\n" in response_head(403, [], "daphne")
    assert response_head(403, [(b"Server", b"mine")], "daphne").count(b"erver:") == 1
    assert b"server" not in response_head(403, [], "")


def test_a_response_ends_its_connection_whatever_the_application_says():
    head = response_head(200, [(b"Connection", b"keep-alive")], "")
    assert b"keep-alive" not in head
    assert head.endswith(b"connection: close\r\n\r\n")


def test_a_short_response_is_whole():
    assert short_response(503, "try again", "", [(b"retry-after", b"1")]) == (
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: 10\r\nconnection: close\r\n\r\ntry again\n"
    )


def test_an_unknown_status_has_a_line_too():
    assert response_head(799, [], "").startswith(b"HTTP/1.1 799 Unknown\r\n")
