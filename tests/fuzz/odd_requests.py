"""Requests as no client in order sends them, each made from one number.

Half of them have one fault that RFC 9112 names, among requests in order: what must become of each of them is known.
The others are what is left when several faults meet, bytes change and pieces are missing: of them, only that nothing
breaks.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

HEAD_LIMIT_BYTES = 4096
BODY_LIMIT_BYTES = 2000
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
HANDSHAKE = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13")


class End(Enum):
    """What the client does when it has sent everything."""

    READS = "reads until the server ends the connection"
    LEAVES = "closes"
    SAYS_IT_SENDS_NO_MORE = "closes its half"
    RESETS = "resets the connection"


@dataclass(frozen=True)
class Attempt:
    """What one client sends, and what must come of it.

    Attributes:
        name: which faults it has.
        pieces: what is sent, each by itself.
        slowly: whether the server has its turn after each of them.
        end: what the client does then.
        expected: the statuses of all answers and, of those with 200, their texts; None where any will do.
    """

    name: str
    pieces: tuple[bytes, ...]
    slowly: bool
    end: End
    expected: tuple[tuple[int, bytes], ...] | None = None


@dataclass(frozen=True)
class Sent:
    """A request, before it is bytes."""

    line: bytes
    headers: tuple[bytes, ...] = (b"Host: x",)
    body: bytes = b""

    def on_the_wire(self) -> bytes:
        return b"".join(line + b"\r\n" for line in (self.line, *self.headers, b"")) + self.body


Fault = Callable[[random.Random], bytes]


def attempt(seed: int) -> Attempt:
    """Return the attempt of this number, always the same."""
    rng = random.Random(seed)
    return _with_one_fault(rng) if seed % 2 else _with_many(rng)


def is_late(tried: Attempt) -> bool:
    """Say whether its client stops amid a head, so that its answer takes the server's head timeout."""
    return bool(tried.expected) and tried.expected[-1][0] == LATE


def _with_one_fault(rng: random.Random) -> Attempt:
    name = rng.choice(list(FAULTS))
    fault, status = FAULTS[name]
    before = [_in_order(rng) for _ in range(rng.choice((0, 0, 1, 2)))]
    stream = b"".join(sent.on_the_wire() for sent, _ in before) + fault(rng)
    if status != LATE:
        stream += SMUGGLED
    expected = (*((200, text) for _, text in before), (status, b""))
    return Attempt(name, _cut(rng, stream), rng.random() < 0.5, End.READS, expected)


def _in_order(rng: random.Random) -> tuple[Sent, bytes]:
    """Return a request and what its application says to it."""
    body = rng.randbytes(rng.choice((0, 1, 100, BODY_LIMIT_BYTES)))
    method, path = rng.choice((b"POST", b"PUT", b"M-SEARCH")), rng.choice((b"/", b"/a", b"/b-c"))
    target = rng.choice((path, path + b"?q=1", b"http://y" + path))
    headers = [b"Host: x", b"X-A: 1", b"Accept: */*"]
    if rng.random() < 0.5:
        headers.append(b"Expect: 100-continue")
    if body and rng.random() < 0.5:
        headers.append(b"Transfer-Encoding: Chunked")
        wire = _chunks(rng, body)
    else:
        headers.append(b"Content-Length: %d" % len(body))
        wire = body
    rng.shuffle(headers)
    return Sent(method + b" " + target + b" HTTP/1.1", tuple(headers), wire), b"%s %s %d" % (method, path, len(body))


def _chunks(rng: random.Random, body: bytes) -> bytes:
    coded = b""
    while body:
        size = rng.randint(1, len(body))
        extension = rng.choice((b"", b";a=b", b'; a="b c"', b""))
        coded += b"%x%s\r\n%s\r\n" % (size, extension, body[:size])
        body = body[size:]
    return coded + b"0\r\n" + rng.choice((b"", b"X-Trailer: 1\r\n")) + b"\r\n"


def _cut(rng: random.Random, stream: bytes) -> tuple[bytes, ...]:
    places = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.choice((0, 0, 1, 3, 8))))
    edges = [0, *places, len(stream)]
    return tuple(stream[start:end] for start, end in itertools.pairwise(edges) if start < end)


# Faults, each alone in its request.


def _line(*lines: bytes) -> Fault:
    return lambda rng: Sent(rng.choice(lines)).on_the_wire()


def _headers(*choices: tuple[bytes, ...], version: bytes = b"1.1") -> Fault:
    def fault(rng: random.Random) -> bytes:
        headers = [b"Host: x", *rng.sample((b"X-A: 1", b"X-B: 2", b"Expect: 100-continue"), rng.randint(0, 3))]
        place = rng.randint(0, len(headers))
        headers[place:place] = rng.choice(choices)
        return Sent(b"POST / HTTP/" + version, tuple(headers), b"0\r\n\r\n").on_the_wire()

    return fault


def _each(*lines: bytes) -> Fault:
    return _headers(*((line,) for line in lines))


def _without_host(*hosts: tuple[bytes, ...]) -> Fault:
    return lambda rng: Sent(b"GET / HTTP/1.1", (b"X-A: 1", *rng.choice(hosts))).on_the_wire()


def _body(*bodies: bytes) -> Fault:
    expect = (b"Expect: 100-continue",)

    def fault(rng: random.Random) -> bytes:
        headers = (b"Host: x", b"Transfer-Encoding: chunked", *rng.choice(((), expect)))
        good = _chunks(rng, rng.randbytes(rng.choice((0, 30)))).rpartition(b"0\r\n")[0]
        return Sent(b"POST / HTTP/1.1", headers, good + rng.choice(bodies)).on_the_wire()

    return fault


def _with_key(*keys: bytes) -> Fault:
    return lambda rng: Sent(
        b"GET / HTTP/1.1", (b"Host: x", *HANDSHAKE, b"Sec-WebSocket-Key: " + rng.choice(keys))
    ).on_the_wire()


UNENDING = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n"
LENGTHS = (b"+5", b"-1", b"0x5", b"5,5", b"5, 5", b"5 5", b"5_0", b"", b"5;", b"\x0b5", b"5.0", b"1" * 20, b"1" * 4000)
CODINGS = (
    *(b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"xchunked", b"", b"chunked;q=1"),
    *(b"\x0bchunked", b"chunked\x0c", b'"chunked"', b"chun ked"),
)
LATE = 408
FAULTS: dict[str, tuple[Fault, int]] = {
    "two lengths": (
        _headers(
            (b"Content-Length: 5", b"Content-Length: 6"),
            (b"Content-Length: 5", b"X-Between: 1", b"content-length: 5"),
            (b"Content-Length: 0", b"Content-Length: 44"),
        ),
        400,
    ),
    "a length and chunks": (
        _headers(
            (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
            (b"Transfer-Encoding: chunked", b"Content-Length: 0"),
            (b"Transfer-Encoding: identity", b"Content-Length: 5"),
        ),
        400,
    ),
    "chunks twice": (_headers((b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")), 400),
    "a length that is none": (_each(*(b"Content-Length: " + length for length in LENGTHS)), 400),
    "an unknown coding": (_each(*(b"Transfer-Encoding: " + coding for coding in CODINGS)), 400),
    "chunks with HTTP/1.0": (_headers((b"Transfer-Encoding: chunked",), version=b"1.0"), 400),
    "a name that is none": (
        _each(
            *(b"Content-Length : 5", b"Transfer-Encoding\t: chunked", b": x", b"no colon", b"X\x00: 1", b"X Y: 1"),
            *(b"X(: 1", b"\xc3\xa4: 1", b"\x00", b"X\r: 1", b"\x7f: 1", b"X" * 257 + b": 1"),
        ),
        400,
    ),
    "a value that is none": (
        _each(b"X: \x00", b"X: a\rContent-Length: 5", b"X: a\nContent-Length: 5", b"X: \x0b"),
        400,
    ),
    "a folded line": (
        _headers(
            (b"X: a", b" b"),
            (b"Transfer-Encoding:", b"\tchunked"),
            (b"X: a", b" Content-Length: 44"),
            (b" ",),
        ),
        400,
    ),
    "no host or two": (
        _without_host((), (b"Host: x", b"Host: y"), (b"Host: x", b"host: x"), (b"Host: x", b"X: 1", b"Host:")),
        400,
    ),
    "a version that is none": (
        _line(*(b"GET / " + version for version in (b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/11", b"HTP/1.1"))),
        400,
    ),
    "a first line that is none": (
        _line(
            *(
                b"GET /",
                b"GET",
                b"\x00",
                b"GET  / HTTP/1.1",
                b"GET\t/\tHTTP/1.1",
                b" GET / HTTP/1.1",
                b"GET / HTTP/1.1 ",
            ),
            *(
                b"G(T / HTTP/1.1",
                b"G\xc3\x84T / HTTP/1.1",
                b"GET /a b HTTP/1.1",
                b"\x16\x03\x01\x02\x00\x01",
                b"GET / x",
            ),
        ),
        400,
    ),
    "a target that is none": (
        _line(
            *(
                b"GET %s HTTP/1.1" % target
                for target in (
                    b"a",
                    b"*",
                    b"\x00",
                    b"/\x00",
                    b"/\xff",
                    b"/?\xc3\xa4",
                    b"ftp://x/",
                    b"http:///",
                    b"?a",
                    b"//\x7f\x80",
                )
            ),
            *(b"CONNECT x:80 HTTP/1.1", b"GET http://a@b/ HTTP/1.1", b"PRI * HTTP/1.1"),
        ),
        400,
    ),
    "a chunk's size that is none": (
        _body(
            *(
                size + b"\r\nhello\r\n0\r\n\r\n"
                for size in (b"-5", b"+5", b"0x5", b"g", b"", b"5 ", b" 5", b"5_0", b"5\n")
            )
        ),
        400,
    ),
    "a chunk's extension that is none": (
        _body(*(b"5;a=" + value + b"\r\nhello\r\n0\r\n\r\n" for value in (b"\x00", b"\n", b"\rb", b"x" * 2000))),
        400,
    ),
    "a chunk that ends late or early": (
        _body(b"5\r\nhello!\r\n0\r\n\r\n", b"5\r\nhell\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n"),
        400,
    ),
    "trailers without end": (
        _body(b"0\r\n" + b"X: " + b"x" * 70_000 + b"\r\n\r\n", b"0\r\n" + b"X: y\r\n" * 12_000),
        400,
    ),
    "a long line": (_each(b"X: " + b"x" * HEAD_LIMIT_BYTES, b"x" * 20_000), 431),
    "a long first line": (_line(b"GET /" + b"x" * HEAD_LIMIT_BYTES + b" HTTP/1.1", b"G" * 30_000), 431),
    "many lines": (_headers((b"X-Many: 1234567",) * 400), 431),
    "a body over the limit": (
        _headers((b"Content-Length: 2001",), (b"Content-Length: " + b"9" * 18,), (b"Content-Length: " + b"1" * 10,)),
        413,
    ),
    "chunks over the limit": (
        _body(
            *(b"7d1\r\n" + b"x" * 2001 + rest for rest in (b"\r\n0\r\n\r\n", b"\r\nzz\r\n", b"", b"garbage")),
            *(b"fffffffff\r\n" + b"x" * 3000, b"1\r\nx\r\n" * 2001 + b"0\r\n\r\n"),
        ),
        413,
    ),
    "a handshake with a body": (
        _headers((*HANDSHAKE, b"Content-Length: 5"), (*HANDSHAKE, b"Transfer-Encoding: chunked")),
        400,
    ),
    "a handshake that is none": (
        _with_key(b"", b"x", b"A" * 24, b"\xff", b"A" * 2000, b"dGhlIHNhbXBsZSBub25jZQ==\r\nHost: y"),
        400,
    ),
    "a head that does not end": (lambda rng: UNENDING[: rng.randint(1, len(UNENDING))], LATE),
}


# Many faults at once.


def _with_many(rng: random.Random) -> Attempt:
    names, stream = [], bytearray()
    for _ in range(rng.randint(1, 4)):
        name = rng.choice(list(ODDITIES))
        names.append(name)
        stream += ODDITIES[name](rng)
    for _ in range(rng.choice((0, 0, 1, 2, 5))):
        name = rng.choice(list(CHANGES))
        names.append(name)
        CHANGES[name](rng, stream)
    end = rng.choice((End.LEAVES, End.SAYS_IT_SENDS_NO_MORE, End.RESETS))
    return Attempt(", ".join(names), _cut(rng, bytes(stream)), rng.random() < 0.5, end)


def _early(rng: random.Random) -> bytes:
    """A request whose answer begins before its body is there, and whose body may have a fault."""
    head = Sent(b"POST /early HTTP/1.1", (b"Host: x", b"Transfer-Encoding: chunked")).on_the_wire()
    return head + _chunks(rng, rng.randbytes(200)).removesuffix(rng.choice((b"", b"\r\n", b"0\r\n\r\n")))


def _spot(rng: random.Random, stream: bytearray) -> slice:
    start = rng.randrange(len(stream) + 1)
    return slice(start, start + rng.choice((1, 1, 2, 40)))


def _flip(rng: random.Random, stream: bytearray) -> None:
    if stream:
        stream[rng.randrange(len(stream))] = rng.choice(b"\r\n\x00 :;,0aF\xff\t%")


def _leave_out(rng: random.Random, stream: bytearray) -> None:
    del stream[_spot(rng, stream)]


def _repeat(rng: random.Random, stream: bytearray) -> None:
    spot = _spot(rng, stream)
    stream[spot] = stream[spot] * rng.choice((2, 3, 50))


def _cut_off(rng: random.Random, stream: bytearray) -> None:
    del stream[rng.randrange(len(stream) + 1) :]


ODDITIES: dict[str, Fault] = {
    "in order": lambda rng: _in_order(rng)[0].on_the_wire(),
    "one fault": lambda rng: FAULTS[rng.choice(list(FAULTS))][0](rng),
    "bytes": lambda rng: rng.randbytes(rng.choice((1, 20, 3000))),
    "answered early": _early,
    "a handshake and what follows": lambda rng: (
        _with_key(b"dGhlIHNhbXBsZSBub25jZQ==")(rng) + rng.randbytes(rng.choice((0, 5, 300)))
    ),
    "empty lines": lambda rng: b"\r\n" * rng.randint(1, 3),
}
CHANGES = {"another byte": _flip, "bytes left out": _leave_out, "bytes repeated": _repeat, "cut off": _cut_off}
