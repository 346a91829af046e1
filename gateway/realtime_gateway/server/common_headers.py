"""Pure. Lines of heads that many clients send alike, kept once for all of the scopes that hold them."""

from __future__ import annotations

from collections.abc import Mapping

Line = tuple[bytes, bytes]


class CommonHeaders:
    """The lines known so far; only of fields that name nobody, since they are kept when their connections are gone.

    Attributes:
        known: those that ``read`` has had, by what was sent.
    """

    FIELDS = frozenset(
        b"host upgrade connection origin user-agent pragma cache-control accept-encoding accept-language "
        b"sec-websocket-version sec-websocket-extensions".split()  # and not the subprotocols, which may be tokens
    )
    NAMES: Mapping[bytes, bytes] = {
        name: name
        for name in (
            *FIELDS,
            b"sec-websocket-key",
            b"sec-websocket-protocol",
            b"cookie",
            b"authorization",
            b"x-forwarded-for",
        )
    }
    MOST = 500  # different lines; with more, all are forgotten
    LONGEST_BYTES = 200

    def __init__(self) -> None:
        self._lines: dict[Line, Line] = {}
        self.known: dict[bytes, Line] = {}

    def read(self, sent: bytes) -> Line:
        """Return a line of a head, which has a colon, with the name in lower case."""
        known = self.known.get(sent)
        if known is not None:
            return known
        name, _, value = sent.partition(b":")
        line = self._line((name.lower(), value.strip(b" \t")))
        if line[0] in self.FIELDS and len(sent) <= self.LONGEST_BYTES:
            if len(self.known) >= self.MOST:
                self.known.clear()
            self.known[sent] = line
        return line

    def shared(self, headers: list[Line]) -> list[Line]:
        """Return equal lines, in the same order."""
        return [self._line(line) for line in headers]

    def _line(self, line: Line) -> Line:
        known = self._lines.get(line)
        if known is not None:
            return known
        name, value = line
        line = (self.NAMES.get(name, name), value)
        if name in self.FIELDS and len(value) <= self.LONGEST_BYTES:
            if len(self._lines) >= self.MOST:
                self._lines.clear()
            self._lines[line] = line
        return line


COMMON_HEADERS = CommonHeaders()
