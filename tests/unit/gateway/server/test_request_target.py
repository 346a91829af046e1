"""What a request's first line asks for, in the forms of RFC 9112 section 3.2."""

from __future__ import annotations

import pytest

from realtime_gateway.server.request_target import origin_form, problem


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"/", None, b"/"),
        (b"/a?b=http://c", None, b"/a?b=http://c"),
        (b"*", None, b"*"),
        (b"http://x", b"x", b"/"),
        (b"HTTPS://x:81/a?b", b"x:81", b"/a?b"),
        (b"http://x?b", b"x", b"/?b"),
        (b"http://[::1]:80//a", b"[::1]:80", b"//a"),
        (b"http://user@x/", None, b"http://user@x/"),
        (b"http:///a", None, b"http:///a"),
        (b"ftp://x/", None, b"ftp://x/"),
        (b"x:80", None, b"x:80"),
    ],
)
def test_an_absolute_form_becomes_a_host_and_a_path(target: bytes, host: bytes | None, path: bytes) -> None:
    assert origin_form(target) == (host, path)


@pytest.mark.parametrize(
    ("method", "target"), [(b"GET", b"/"), (b"OPTIONS", b"*"), (b"GET", b"//x/?*"), (b"GET", b"/~%00")]
)
def test_what_can_be_served(method: bytes, target: bytes) -> None:
    assert problem(method, target) == ""


@pytest.mark.parametrize(
    ("method", "target", "said"),
    [
        (b"CONNECT", b"x:80", "CONNECT is not served"),
        (b"CONNECT", b"/", "CONNECT is not served"),
        (b"GET", b"*", "Invalid path"),
        (b"GET", b"a", "Invalid path"),
        (b"GET", b"http://user@x/", "Invalid path"),
        (b"GET", b"/\xe4", "Invalid characters in path or query string"),
        (b"GET", b"/?\x00", "Invalid characters in path or query string"),
        (b"GET", b"", "Invalid characters in path or query string"),
    ],
)
def test_what_cannot_be_served_is_said(method: bytes, target: bytes, said: str) -> None:
    assert problem(method, target) == said
