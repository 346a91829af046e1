import pytest

from realtime_gateway import endings
from realtime_gateway.server.connection import (
    Accept,
    Close,
    Connection,
    Deny,
    DenyBody,
    DenyStart,
    OutOfOrder,
    Send,
    State,
)

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
TEXT = {"type": "websocket.send", "text": "hi"}
START = {"type": "websocket.http.response.start", "status": 451}
BODY = {"type": "websocket.http.response.body", "body": b"no"}


def connection(*messages) -> Connection:
    made = Connection()
    for message in messages:
        made.application_sent(message)
    return made


def test_accept_opens():
    made = Connection()
    message = {**ACCEPT, "subprotocol": "v1", "headers": [(b"a", b"1"), [b"a", b"2"]]}
    assert made.application_sent(message) == Accept("v1", ((b"a", b"1"), (b"a", b"2")))
    assert made.state is State.OPEN


def test_an_empty_subprotocol_is_none():
    assert Connection().application_sent({**ACCEPT, "subprotocol": ""}) == Accept(None, ())


def test_close_during_the_handshake_denies_with_403():
    made = Connection()
    assert made.application_sent(CLOSE) == Deny(endings.NORMAL)
    assert endings.NORMAL.status == 403
    assert made.state is State.CLOSED


def test_a_denial_response_has_a_start_and_pieces():
    made = Connection()
    assert made.application_sent(START) == DenyStart(451, ())
    assert made.application_sent({**BODY, "more_body": True}) == DenyBody(b"no", last=False)
    assert made.state is State.DENYING
    assert made.application_sent(BODY) == DenyBody(b"no", last=True)
    assert made.state is State.CLOSED


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ({"text": "hi"}, Send(b"hi", is_binary=False)),
        ({"text": "hi", "bytes": None}, Send(b"hi", is_binary=False)),
        ({"text": "hi", "bytes": b""}, Send(b"hi", is_binary=False)),
        ({"text": ""}, Send(b"", is_binary=False)),
        ({"bytes": b"\x00"}, Send(b"\x00", is_binary=True)),
        ({"bytes": b"\x00", "text": None}, Send(b"\x00", is_binary=True)),
        ({"bytes": b"\x00", "text": ""}, Send(b"\x00", is_binary=True)),
        ({"bytes": b""}, Send(b"", is_binary=True)),
        ({"bytes": bytearray(b"ab")}, Send(b"ab", is_binary=True)),
    ],
)
def test_a_message_is_text_or_bytes_and_may_be_empty(message, sent):
    assert connection(ACCEPT).application_sent({"type": "websocket.send", **message}) == sent


@pytest.mark.parametrize(
    ("message", "close"),
    [
        ({}, Close(1000, "")),
        ({"code": None, "reason": None}, Close(1000, "")),
        ({"code": 1008, "reason": "no"}, Close(1008, "no")),
        ({"code": 4401}, Close(4401, "")),
    ],
)
def test_close_carries_its_code_and_reason(message, close):
    made = connection(ACCEPT)
    assert made.application_sent({**CLOSE, **message}) == close
    assert made.state is State.CLOSED


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ([], TEXT),
        ([], {"type": "http.response.start", "status": 200}),
        ([], BODY),
        ([], {"text": "no type"}),
        ([], {**ACCEPT, "headers": [(b"a", b"1\r\nb: 2")]}),
        ([ACCEPT], ACCEPT),
        ([ACCEPT], START),
        ([ACCEPT], {"type": "websocket.send"}),
        ([ACCEPT], {"type": "websocket.send", "text": "a", "bytes": b"b"}),
        ([ACCEPT], {"type": "websocket.send", "text": 5}),
        ([ACCEPT], {**CLOSE, "code": 1006}),
        ([START], TEXT),
        ([START], ACCEPT),
        ([START], START),
        ([], {**ACCEPT, "headers": [("a", b"1")]}),
        ([], {**ACCEPT, "headers": [(b"a", 1)]}),
        ([], {"type": "websocket.http.response.start"}),
        ([], {**START, "status": "403"}),
        ([], {**START, "status": 101}),
        ([], {**START, "headers": [(b"a", None)]}),
        ([ACCEPT], {**CLOSE, "code": "4000"}),
        ([ACCEPT], {**CLOSE, "reason": b"no"}),
        ([START], {**BODY, "body": "text"}),
    ],
)
def test_what_the_specification_does_not_allow_now_is_an_error(before, message):
    made = connection(*before)
    state = made.state
    with pytest.raises(OutOfOrder):
        made.application_sent(message)
    assert made.state is state, "the application may send a better one"


@pytest.mark.parametrize("message", [ACCEPT, TEXT, CLOSE, START, BODY])
def test_after_the_end_everything_is_dropped_in_silence(message):
    assert connection(ACCEPT, CLOSE).application_sent(message) is None
    made = Connection()
    made.client_left()
    assert made.application_sent(message) is None
