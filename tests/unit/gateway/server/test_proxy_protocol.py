from __future__ import annotations

import contextlib
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway.server.proxy_protocol import V1_LONGEST, V2_START, Header, Malformed, read

V1 = b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n"


def v2(source: str, port: int, extras: bytes = b"", command: int = 1) -> bytes:
    packed = ip_address(source).packed
    family = 0x11 if len(packed) == 4 else 0x21
    body = packed + packed + struct.pack("!HH", port, 443) + extras
    return V2_START + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


def test_version_1_names_the_client():
    assert read(V1 + b"GET / ") == Header(len(V1), "198.51.100.7", 4711)
    six = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"
    assert read(six) == Header(len(six), "2001:db8::7", 4711)


def test_a_balancer_that_does_not_know_names_nobody():
    assert read(b"PROXY UNKNOWN\r\nGET") == Header(15)
    assert read(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nGET") == Header(35)
    local = v2("198.51.100.7", 4711, command=0)
    assert read(local) == Header(len(local))


@given(source=st.ip_addresses(), port=st.integers(0, 65_535), rest=st.binary(max_size=20))
def test_version_2_names_the_client_of_either_family(source, port: int, rest: bytes):
    header = v2(str(source), port)
    assert read(header + rest) == Header(len(header), str(source), port)


def test_version_2_says_whether_the_client_speaks_tls():
    noise = struct.pack("!BH", 0x05, 3) + b"abc"
    secure = noise + struct.pack("!BH", 0x20, 5) + b"\x01\0\0\0\0"
    plain = struct.pack("!BH", 0x20, 5) + b"\x00\0\0\0\0"
    answers = [read(v2("192.0.2.1", 1, extras)) for extras in (secure, plain, noise, secure[:5])]
    assert [answer is not None and answer.secure for answer in answers] == [True, False, False, False]


def test_a_connection_that_begins_otherwise_has_none():
    assert read(b"GET / HTTP/1.1\r\n") == Header(0)
    assert read(b"PROPFIND / HTTP/1.1\r\n") == Header(0)
    assert read(b"\r\nGET / HTTP/1.1") == Header(0)
    assert read(b"") is None


@pytest.mark.parametrize("whole", [V1, v2("198.51.100.7", 4711), v2("2001:db8::7", 4711, b"\x05\0\x01a")])
def test_every_part_of_a_header_waits_for_the_rest(whole: bytes):
    assert {read(whole[:length]) for length in range(len(whole))} == {None}
    assert read(whole) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        b"PROXY TCP4 198.51.100.7 10.0.0.1 4711\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 99999\r\n",
        b"PROXY TCP4 2001:db8::1 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 x y 1 2\r\n",
        b"PROXY \xff\r\n",
        b"PROXY UDP4 198.51.100.7 10.0.0.1 1 2\r\n",
        b"PROXY " + b"x" * V1_LONGEST,
        V2_START + b"\x31\x11\0\x0c" + bytes(12),
        V2_START + b"\x22\x11\0\x0c" + bytes(12),
        V2_START + b"\x21\x11\0\x04" + bytes(4),
        V2_START + b"\x21\x11\xff\xff",
    ],
)
def test_a_malformed_header_is_refused(wrong: bytes):
    with pytest.raises(Malformed):
        read(wrong)


@given(start=st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", V2_START, V2_START + b"\x21\x11"]), rest=st.binary())
def test_any_bytes_are_a_header_none_or_malformed(start: bytes, rest: bytes):
    with contextlib.suppress(Malformed):
        header = read(start + rest)
        assert header is None or header.size_bytes <= len(start + rest)
