"""Where tokens are found, and that none stays where others read it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway.auth.identity import Rejected
from realtime_gateway.auth.token_sources import Cookie, FirstMessage, Header, Query, Subprotocol, Token, find_token


def scope(**given: Any) -> dict[str, Any]:
    return {"type": "websocket", "headers": [], "query_string": b"", "subprotocols": [], **given}


def test_a_token_is_never_printed() -> None:
    assert "hush" not in repr(Token("hush"))


@pytest.mark.parametrize("header", [b"Bearer abc", b"bearer abc", b"BEARER  abc "])
def test_a_header_has_a_keyword_in_any_case(header: bytes) -> None:
    found = Header().find(scope(headers=[(b"authorization", header)]))
    assert found is not None
    assert found.value == "abc"


def test_a_header_of_another_scheme_is_left_alone() -> None:
    assert Header().find(scope(headers=[(b"authorization", b"Basic YTpi")])) is None


def test_a_header_without_a_keyword_holds_the_token_alone() -> None:
    found = Header((), "X-Session-Token").find(
        scope(headers=[(b"authorization", b"no"), (b"x-session-token", b" abc ")])
    )
    assert found is not None
    assert found.value == "abc"
    assert Header((), "X-Session-Token").find(scope(headers=[(b"authorization", b"abc")])) is None


@pytest.mark.parametrize("values", [[b""], [b"a b"], [b"Bearer a"], [b"a", b"a"], [b"a" * 9000], [b"\xff"]])
def test_a_header_without_a_keyword_that_holds_anything_else_is_refused(values: list[bytes]) -> None:
    with pytest.raises(Rejected):
        Header((), "x-api-key").find(scope(headers=[(b"x-api-key", value) for value in values]))


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer a b")],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Bearer " + b"a" * 9000)],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"authorization", b"Bearer a\x00b")],
    ],
)
def test_what_is_no_single_token_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Rejected):
        Header().find(scope(headers=headers))


def test_a_token_of_the_query_is_taken_out_of_the_servers_own_scope() -> None:
    theirs = scope(query_string=b"room=a%20b&token=hush&x=")
    found = Query().find(theirs)
    assert found is not None
    assert found.value == "hush"
    assert theirs["query_string"] == b"room=a+b&x="


@pytest.mark.parametrize("query", [b"token=a&token=b", b"token=", b"token=a%0d%0ab"])
def test_a_query_with_more_or_less_than_one_token_is_refused_and_cleaned(query: bytes) -> None:
    theirs = scope(query_string=query)
    with pytest.raises(Rejected):
        Query().find(theirs)
    assert theirs["query_string"] == b""


@given(st.text(max_size=40))
def test_no_query_makes_it_raise_anything_else(text: str) -> None:
    with suppress(Rejected):
        Query().find(scope(query_string=text.encode()))


def test_a_consumer_cannot_choose_the_token_as_its_subprotocol() -> None:
    theirs = scope(
        subprotocols=["chat.v1", "bearer", "hush"], headers=[(b"sec-websocket-protocol", b"chat.v1, bearer, hush")]
    )
    found = Subprotocol().find(theirs)
    assert found is not None
    assert (found.value, found.chosen_subprotocol) == ("hush", "bearer")
    assert theirs["subprotocols"] == ["chat.v1"]
    assert theirs["headers"] == [(b"sec-websocket-protocol", b"chat.v1")]


@pytest.mark.parametrize("offered", [["bearer"], ["bearer", "a", "bearer"]])
def test_a_marker_without_its_token_is_refused(offered: list[str]) -> None:
    with pytest.raises(Rejected):
        Subprotocol().find(scope(subprotocols=offered))


def test_cookies_are_read_from_all_headers() -> None:
    found = Cookie("jwt").find(scope(headers=[(b"cookie", b"a=b"), (b"cookie", b"jwt=abc")]))
    assert found is not None
    assert found.value == "abc"


@pytest.mark.parametrize("text", ["abc", " abc\n", '{"token": "abc"}'])
def test_a_first_message_is_the_token_or_holds_it(text: str) -> None:
    assert FirstMessage.read(text).value == "abc"


@pytest.mark.parametrize("text", [None, "", "{", '{"token": 5}', "{}", "a" * 20000, '{"a":' * 3000])
def test_a_first_message_of_another_kind_is_refused(text: str | None) -> None:
    with pytest.raises(Rejected):
        FirstMessage.read(text)


def test_two_different_tokens_are_refused_and_the_same_one_twice_is_not() -> None:
    def both(query: bytes) -> dict[str, Any]:
        return scope(headers=[(b"authorization", b"Bearer abc")], query_string=query)

    found = find_token((Header(), Query()), both(b"token=abc"))
    assert found is not None
    assert found.value == "abc"
    with pytest.raises(Rejected, match="two tokens"):
        find_token((Header(), Query()), both(b"token=other"))


@pytest.mark.parametrize("authorization", [b"Bearer", b"Bearer a b"])
def test_a_token_is_taken_out_of_the_query_where_another_place_is_wrong(authorization: bytes) -> None:
    theirs = scope(headers=[(b"authorization", authorization)], query_string=b"room=1&token=secret")
    with pytest.raises(Rejected):
        find_token((Header(), Query()), theirs)
    assert theirs["query_string"] == b"room=1"
