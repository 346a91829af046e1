"""What a server of HTTP/1.1 has sent on one connection, read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = re.compile(
    rb"HTTP/1\.[01] ([1-5]\d\d) [\t\x20-\x7e]*\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\xff]*\r\n)*)\r\n"
)
_CHUNK = re.compile(rb"([0-9a-fA-F]+)\r\n")
CONTINUE, SWITCHING = 100, 101


class MalformedAnswer(AssertionError):
    """It is none, or a second one where nothing more may come."""


@dataclass(frozen=True)
class Answer:
    """One response.

    Attributes:
        headers: by name in lower case.
        body: as the client would have it, or the rest of the connection after 101.
        whole: whether its end has come.
        ends: whether it is the last one of its connection.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    whole: bool
    ends: bool


def read_answers(received: bytes) -> list[Answer]:
    """Return every answer, the last one perhaps not whole; an interim 100 is left out.

    Raises:
        MalformedAnswer: with what does not belong there.
    """
    answers: list[Answer] = []
    while received:
        if answers and (answers[-1].ends or not answers[-1].whole):
            raise MalformedAnswer(f"after the last answer: {received[:200]!r}")
        head = _HEAD.match(received)
        if head is None:
            if b"\r\n\r\n" in received or not b"HTTP/1.1 ".startswith(received[:9]):
                raise MalformedAnswer(f"no answer: {received[:200]!r}")
            return [*answers, Answer(0, {}, received, whole=False, ends=False)]
        received = received[head.end() :]
        if int(head[1]) != CONTINUE:
            answer, received = _with_body(int(head[1]), _headers(head[2]), received)
            answers.append(answer)
    return answers


def _headers(lines: bytes) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines.splitlines():
        name, _, value = line.partition(b":")
        if name.lower() in headers:
            raise MalformedAnswer(f"twice in one head: {line!r}")
        headers[name.lower()] = value.strip()
    if {b"content-length", b"transfer-encoding"} <= headers.keys():
        raise MalformedAnswer("a length and chunks")
    return headers


def _with_body(status: int, headers: dict[bytes, bytes], rest: bytes) -> tuple[Answer, bytes]:
    ends = headers.get(b"connection", b"").lower() == b"close"
    if status == SWITCHING:
        return Answer(status, headers, rest, whole=True, ends=True), b""
    if headers.get(b"transfer-encoding") == b"chunked":
        body, rest, whole = _from_chunks(rest)
        return Answer(status, headers, body, whole, ends), rest
    if b"content-length" in headers:
        size = int(headers[b"content-length"])
        return Answer(status, headers, rest[:size], len(rest) >= size, ends), rest[size:]
    return Answer(status, headers, rest, whole=True, ends=True), b""  # to the end of the connection


def _from_chunks(rest: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while chunk := _CHUNK.match(rest):
        size, start = int(chunk[1], 16), chunk.end()
        piece, end = rest[start : start + size], rest[start + size : start + size + 2]
        if not b"\r\n".startswith(end):
            raise MalformedAnswer(f"a chunk ends with {rest[start + size :][:200]!r}")
        body += piece
        if end != b"\r\n":
            return body, b"", False
        rest = rest[start + size + 2 :]
        if size == 0:
            return body, rest, True
    if b"\r\n" in rest or len(rest) > 10:
        raise MalformedAnswer(f"no chunk: {rest[:200]!r}")
    return body, b"", False
